package carrier

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/tenant"
)

func boxView() *view {
	v := &view{byName: map[string]*Carrier{}, ranges: map[uint64]uint8{}, shortest: 11}
	for _, c := range Box("").Carriers {
		v.carriers = append(v.carriers, &c)
	}
	return v
}

func number(t testing.TB, s string) Number {
	t.Helper()
	n, err := ParseNumber(s)
	require.NoError(t, err)
	return n
}

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.csv")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestBoxDataGivesEachCarrierNumbersThatNobodyHas(t *testing.T) {
	table, err := Open(Box("../../conf/data/ranges.csv"))
	require.NoError(t, err)
	for s, want := range map[string]string{
		"090-0001-0000": "docomo", "090-0002-9999": "au", "090-0003-1234": "softbank", "090-0004-0001": "rakuten",
		"070-0123-4567": "docomo", "070-0400-0000": "rakuten",
	} {
		found, ok := table.Resolve(number(t, s))
		require.True(t, ok, s)
		require.Equal(t, want, found.Carrier.Name, s)
		require.Equal(t, "range", found.By)
	}
	for _, s := range []string{"090-0005-0000", "090-1234-5678", "080-1234-5678"} {
		_, ok := table.Resolve(number(t, s))
		require.False(t, ok, s)
	}
}

func TestPortedNumberGoesBeforeItsRangeAndTheLongestRangeWins(t *testing.T) {
	cfg := Box(write(t, "\ufeff0900,docomo\n09001,au # longer\n"))
	cfg.Ported = write(t, "09001000002,softbank\n09001000001,rakuten\n")
	table, err := Open(cfg)
	require.NoError(t, err)
	for s, want := range map[string]string{"09000000000": "docomo", "09001000000": "au", "09001000001": "rakuten", "09001000002": "softbank"} {
		found, ok := table.Resolve(number(t, s))
		require.True(t, ok)
		require.Equal(t, want, found.Carrier.Name, s)
	}
	n := number(t, "09001000001")
	require.Zero(t, testing.AllocsPerRun(100, func() { table.Resolve(n) }))
}

func TestRealAndSimulatedNeverMix(t *testing.T) {
	real := Box("")
	for i := range real.Carriers {
		real.Carriers[i].Simulated = false
	}
	real.Ranges = write(t, "0900001,docomo\n")
	_, err := Open(real)
	require.ErrorContains(t, err, `data.csv:1: 0900… is a simulated block, but carrier "docomo" is not marked simulated`)

	box := Box(write(t, "0900001,docomo\n0901234,au\n"))
	_, err = Open(box)
	require.ErrorContains(t, err, `data.csv:2: 0901… can belong to people, but carrier "au" is marked simulated`)

	box.Ranges = write(t, "0900001,docomo\n")
	box.Ported = write(t, "08012345678,docomo\n")
	_, err = Open(box)
	require.ErrorContains(t, err, "can belong to people")
	require.NotContains(t, err.Error(), "08012345678")
}

func TestBadDataNamesItsLineAndLeavesTheOldTable(t *testing.T) {
	cfg := Box(write(t, "0900001,docomo\n"))
	table, err := Open(cfg)
	require.NoError(t, err)
	for text, want := range map[string]string{
		"0900001\n":                    ":1: has one column",
		"\n0900001,nobody\n":           `:2: there is no carrier "nobody"`,
		"090,docomo\n":                 "4 to 11 digits",
		"0312,docomo\n":                "4 to 11 digits",
		"0800123,docomo\n":             "4 to 11 digits", // toll-free, not mobile
		"0900001,docomo\n0900001,au\n": ":2: a range of 7 digits is given to docomo and au",
		"0900001,09012345678\n":        `:1: there is no carrier "09****78"`, // columns exchanged
		"0900001,docomo\n" + strings.Repeat("x", 70_000): ":2: ",
	} {
		bad := cfg
		bad.Ranges = write(t, text)
		require.ErrorContains(t, table.Reload(bad), want)
	}
	bad := cfg
	bad.Ported = write(t, "09000000001,au\n09000000001,docomo\n")
	require.ErrorContains(t, table.Reload(bad), "the number 090-****-0001 stands there twice")
	bad.MaxPorted = 1
	require.ErrorContains(t, table.Reload(bad), "more than max_ported = 1 rows")
	bad.Ported = filepath.Join(t.TempDir(), "none")
	require.ErrorIs(t, table.Reload(bad), os.ErrNotExist)
	found, ok := table.Resolve(number(t, "09000010000"))
	require.True(t, ok)
	require.Equal(t, "docomo", found.Carrier.Name)
}

func TestConfigFaultsAreAllReported(t *testing.T) {
	err := (&Config{MaxPorted: -1, Carriers: []Carrier{{Name: "No", MaxSegments: 11}, {Name: "x1", Senders: []AddressForm{"fax"}}, {Name: "x1", Senders: []AddressForm{FormPhone}}}}).Validate()
	for _, want := range []string{"ranges: is required", "max_ported", "carrier[0].name", "carrier[0].senders: is required", "carrier[0].max_segments", `carrier[1].senders: "fax"`, "carrier[2].name"} {
		require.ErrorContains(t, err, want)
	}
}

func TestCarrierPermitsOnlyItsForms(t *testing.T) {
	table, err := Open(Box("../../conf/data/ranges.csv"))
	require.NoError(t, err)
	for carrier, want := range map[string]map[string]bool{
		"docomo":   {"0312345678": true, "0570055877": true, "09012345678": true, "00051234": true, "21234": false, "2123456789": false, "0005123": false},
		"softbank": {"21234": true, "212345": true, "2123456789": true, "0005123456": true, "0312345678": false, "2123": false},
	} {
		c, ok := table.Carrier(carrier)
		require.True(t, ok)
		for a, permitted := range want {
			got, err := SenderFor(tenant.SenderProfile{Name: "default", Addresses: map[string]string{carrier: a}}, c)
			if permitted {
				require.NoError(t, err)
				require.Equal(t, a, got)
			} else {
				require.ErrorContains(t, err, "does not permit", "%s %s", carrier, a)
			}
		}
	}
	au, _ := table.Carrier("au")
	_, err = SenderFor(tenant.SenderProfile{Name: "default", Addresses: map[string]string{"docomo": "0312345678"}}, au)
	var se *SenderError
	require.ErrorAs(t, err, &se)
	require.Equal(t, "au", se.Carrier)
	errs := table.CheckSenders([]tenant.SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678", "nobody": "123", "softbank": "0312345678"}}})
	require.Len(t, errs, 2)
	require.ErrorContains(t, errs[0], `sender[0].addresses.nobody: there is no carrier`)
}
