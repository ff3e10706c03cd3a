package donotsend

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "data"), MasterKey: filepath.Join(dir, "key"), MinFree: 1, Cache: 8 << 20, ValueLogSize: 16 << 20, Fatal: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	return s
}

func fresh(t testing.TB) (*List, string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, store.NewMasterKey(filepath.Join(dir, "key")))
	s := openStore(t, dir)
	t.Cleanup(func() { _ = s.Close() }) // some tests close it themselves
	return New(s), dir
}

func number(t testing.TB, s string) carrier.Number {
	t.Helper()
	n, err := carrier.ParseNumber(s)
	require.NoError(t, err)
	return n
}

func (l *List) refuses(t testing.TB, id tenant.ID, c message.Class, n carrier.Number) bool {
	t.Helper()
	no, err := l.Refuses(t.Context(), id, c, n)
	require.NoError(t, err)
	return no
}

func TestListedNumberIsRefusedUntilItIsRemoved(t *testing.T) {
	l, dir := fresh(t)
	n := number(t, "090-0001-0001")
	require.False(t, l.refuses(t, "mizu", message.Ad, n))
	add := []Addition{{Number: n, Reason: Request, Note: "窓口", By: "user:tanto", At: time.Now()}}
	first := l.Add(t.Context(), "mizu", add)[0]
	require.NoError(t, first.Err)
	require.False(t, first.Known)
	again := l.Add(t.Context(), "mizu", add)[0]
	require.Equal(t, Added{ID: first.ID, Known: true}, again)

	for _, c := range message.Classes {
		require.Equal(t, c != message.OTP, l.refuses(t, "mizu", c, n), c)
	}
	require.False(t, l.refuses(t, "gasu", message.Ad, n), "another tenant's list")
	require.False(t, l.refuses(t, "mizu", message.Ad, number(t, "090-0001-0002")))

	require.NoError(t, l.store.(*store.Store).Close())
	s := openStore(t, dir)
	defer s.Close()
	l = New(s)
	require.True(t, l.refuses(t, "mizu", message.Billing, n), "after a restart")
	e, err := l.Find(t.Context(), "mizu", n)
	require.NoError(t, err)
	require.Equal(t, [4]string{"090-****-0001", "request", "窓口", "user:tanto"}, [4]string{e.Masked, string(e.Reason), e.Note, e.By})
	whole, err := l.Number(&e)
	require.NoError(t, err)
	require.Equal(t, n, whole)

	require.ErrorIs(t, l.Remove(t.Context(), "gasu", e.ID, "user:x"), store.ErrNotFound)
	require.NoError(t, l.Remove(t.Context(), "mizu", e.ID, "user:x"))
	require.NoError(t, l.Remove(t.Context(), "mizu", e.ID, "user:y"), "once more")
	require.False(t, l.refuses(t, "mizu", message.Billing, n))
	e, err = l.Get(t.Context(), "mizu", e.ID)
	require.NoError(t, err)
	require.Equal(t, "user:x", e.Ended)
	second := l.Add(t.Context(), "mizu", add)[0]
	require.NoError(t, second.Err)
	require.NotEqual(t, first.ID, second.ID)
	require.True(t, l.refuses(t, "mizu", message.Billing, n))
	_, err = l.Find(t.Context(), "gasu", n)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestNumberStandsOnceWhoeverAddsIt(t *testing.T) {
	l, _ := fresh(t)
	var wg sync.WaitGroup
	ids := make([]ulid.ULID, 16)
	fresh := make([]bool, len(ids))
	for i := range ids {
		wg.Go(func() {
			a := l.Add(t.Context(), "mizu", []Addition{{Number: number(t, "090-0001-0001"), Reason: Stop, By: "phone", At: time.Now()}})[0]
			if a.Err != nil {
				t.Error(a.Err)
			}
			ids[i], fresh[i] = a.ID, !a.Known
		})
	}
	wg.Wait()
	n := 0
	for i := range ids {
		require.Equal(t, ids[0], ids[i])
		if fresh[i] {
			n++
		}
	}
	require.Equal(t, 1, n)
}

func TestPagesShowWhatHolds(t *testing.T) {
	l, _ := fresh(t)
	var adds []Addition
	for i := range 25 {
		adds = append(adds, Addition{Number: number(t, fmt.Sprintf("090-0001-%04d", i)), Reason: Import, By: "user:a", At: time.Now().Add(time.Duration(i-100) * time.Second)})
	}
	adds = append(adds, adds[3]) // twice in one call
	added := l.Add(t.Context(), "mizu", adds)
	require.True(t, added[25].Known)
	for i := 24; i > 4; i -= 2 {
		require.NoError(t, l.Remove(t.Context(), "mizu", added[i].ID, "user:a"))
	}
	var seen []string
	var before ulid.ULID
	for {
		page, next, err := l.Page(t.Context(), "mizu", Query{Limit: 4, Before: before})
		require.NoError(t, err)
		for _, e := range page {
			seen = append(seen, e.Masked)
		}
		if before = next; next.IsZero() {
			break
		}
		require.Len(t, page, 4)
	}
	require.Len(t, seen, 15)
	require.Equal(t, "090-****-0023", seen[0])
	require.Equal(t, "090-****-0000", seen[14])
	page, _, err := l.Page(t.Context(), "mizu", Query{Limit: 4, Last4: "0003"})
	require.NoError(t, err)
	require.Len(t, page, 1)
	page, _, err = l.Page(t.Context(), "gasu", Query{Limit: 4})
	require.NoError(t, err)
	require.Empty(t, page)
}

func TestFileIsReadWithItsFaults(t *testing.T) {
	at := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	adds, ps, err := ReadCSV(strings.NewReader("\xef\xbb\xbf電話番号,理由,備考\r\n09000010001,stop,=1+1\r\n\"+81 90-0001-0002\",,\r\n"), "user:a", at)
	require.NoError(t, err)
	require.Empty(t, ps)
	require.Len(t, adds, 2)
	require.Equal(t, Addition{Number: number(t, "09000010001"), Reason: Stop, Note: "=1+1", By: "user:a", At: at}, adds[0])
	require.Equal(t, Import, adds[1].Reason)

	_, ps, err = ReadCSV(strings.NewReader("number,reason\n0312345678,\n09000010001,why\n,\n"), "user:a", at)
	require.NoError(t, err)
	require.Len(t, ps, 3)
	require.Equal(t, [2]string{"line 2", "landline"}, [2]string{ps[0].Field, ps[0].Code})
	require.NotContains(t, ps.Err().Error(), "0312345678")
	require.Equal(t, [2]string{"line 3 reason", "unknown"}, [2]string{ps[1].Field, ps[1].Code})
	require.Equal(t, "malformed", ps[2].Code)
	for _, bad := range []string{"", "a,b\n", "number\n\"x"} {
		_, ps, err = ReadCSV(strings.NewReader(bad), "user:a", at)
		require.NoError(t, err)
		require.NotEmpty(t, ps, bad)
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
		var b bytes.Buffer
		w := NewCSVWriter(&b)
		var want []Addition
		for i := range rapid.IntRange(0, 8).Draw(rt, "rows") {
			a := Addition{Number: number(t, fmt.Sprintf("090-0001-%04d", i)), Reason: rapid.SampledFrom(Reasons).Draw(rt, "reason"),
				Note: rapid.StringMatching(`[=+@"',]?[a-z,"\x{3042}-\x{3050}]{0,12}`).Draw(rt, "note"), By: "user:b", At: at}
			want = append(want, a)
			require.NoError(rt, w.Write(Row{Entry{Reason: a.Reason, Note: a.Note, At: at, By: "user:a"}, a.Number}))
		}
		require.NoError(rt, w.Close())
		got, ps, err := ReadCSV(&b, "user:b", at)
		require.NoError(rt, err)
		require.Empty(rt, ps)
		require.Equal(rt, want, got)
	})
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("number,reason,note\n09000010001,stop,x\n"))
	f.Add([]byte("\x93\x64\x98\x62\x94\xd4\x8d\x86\n09000010001\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		adds, ps, err := ReadCSV(bytes.NewReader(data), "user:a", time.Time{})
		require.NoError(t, err)
		if len(ps) == 0 {
			for i := range adds {
				require.Empty(t, adds[i].Check())
			}
		}
	})
}
