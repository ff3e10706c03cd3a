package message

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func taxed(rate, yen int64) Line {
	return Line{Name: "品", Quantity: 1, Unit: yen, Amount: yen, TaxRate: rate}
}

func TestTaxIsRoundedOnceForEachRate(t *testing.T) {
	// Three lines of 33 yen: 3 yen each would be 9; once for the rate it is 99 × 10/110 = 9; of 35 it is 105 × 10/110 = 9.54.
	lines := []Line{taxed(10, 35), taxed(10, 35), taxed(10, 35), taxed(8, 1080), taxed(0, 500)}
	require.Equal(t, []RateTotal{{10, 105, 9}, {8, 1080, 80}, {0, 500, 0}}, RateTotals(lines, Floor, false))
	require.Equal(t, []RateTotal{{10, 105, 10}, {8, 1080, 80}, {0, 500, 0}}, RateTotals(lines, Nearest, false))
	require.Equal(t, []RateTotal{{10, 105, 10}, {8, 1080, 80}, {0, 500, 0}}, RateTotals(lines, Ceiling, false))
	require.Nil(t, RateTotals([]Line{taxed(0, 1)}, Floor, false), "no rate is stated")
	for tax, want := range map[int64]bool{-1: true, 89: true, 90: true, 88: false, 91: false} {
		totals, ok := TaxesOf(lines, 1685, tax)
		require.Equal(t, want, ok, tax)
		if ok && tax >= 0 {
			require.Equal(t, tax, SumTax(totals))
		}
	}
}

func TestRatesOfAClaimAreChecked(t *testing.T) {
	claim := func(tax *int64, lines ...Line) *Claim {
		c := &Claim{Number: "A-1", Due: "2030-01-01", Tax: tax, Lines: lines}
		for _, l := range lines {
			c.Amount += l.Amount
		}
		return c
	}
	yen := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		claim *Claim
		field string
	}{
		"two rates":             {claim(yen(171), taxed(10, 1001), taxed(8, 1080)), ""},
		"rounded up":            {claim(yen(172), taxed(10, 1002), taxed(8, 1080)), ""},
		"tax of another bill":   {claim(yen(170), taxed(10, 1001), taxed(8, 1080)), "claim.tax"},
		"no such rate":          {claim(nil, taxed(5, 1050)), "claim.lines[0].tax_rate"},
		"more discount than":    {claim(nil, taxed(10, 1000), taxed(8, -100)), "claim.lines"},
		"discount of its rate":  {claim(yen(81), taxed(10, 1000), taxed(10, -100)), ""},
		"no rates, any tax":     {claim(yen(7), taxed(0, 1000)), ""},
		"no tax, rates suffice": {claim(nil, taxed(10, 1000)), ""},
	} {
		var check checker
		check.claim(c.claim)
		if c.field == "" {
			require.Empty(t, check.found, name)
			continue
		}
		require.Len(t, check.found, 1, name)
		require.Equal(t, c.field, check.found[0].Field, name)
	}
	without := func(amount, tax int64, lines ...Line) Problems {
		var check checker
		cl := &Claim{Number: "A-1", Due: "2030-01-01", Amount: amount, Tax: &tax, Lines: lines}
		check.claim(cl)
		return check.found
	}
	require.Empty(t, without(11_000, 1_000, taxed(10, 10_000)), "without tax, as 空室管理費")
	require.Empty(t, without(11_000, 1_000, taxed(0, 10_000)), "without tax and rate")
	require.Empty(t, without(2181, 180, taxed(10, 1001), taxed(8, 1000)), "100.1 + 80, rounded down")
	require.Empty(t, without(2182, 181, taxed(10, 1001), taxed(8, 1000)), "rounded up")
	require.Equal(t, "claim.tax", without(2183, 182, taxed(10, 1001), taxed(8, 1000))[0].Field)
	require.Equal(t, "claim.lines", without(11_000, 999, taxed(10, 10_000))[0].Field)
	require.Equal(t, "claim.lines", without(11_000, 0, taxed(10, 10_000))[0].Field)
	totals, ok := TaxesOf([]Line{taxed(10, 1001), taxed(8, 1000)}, 2181, 180)
	require.True(t, ok)
	require.Equal(t, []RateTotal{{10, 1101, 100}, {8, 1080, 80}}, totals, "with tax")
	_, ok = TaxesOf([]Line{taxed(0, 10_000)}, 11_000, 900)
	require.False(t, ok, "another tax of the same amount")
	require.Equal(t, int64(171), claim(nil, taxed(10, 1001), taxed(8, 1080)).TaxYen())
	require.Equal(t, int64(-1), claim(nil, taxed(0, 1001)).TaxYen())
	for field, cl := range map[string]*Claim{
		"":               {Amount: 7440, Tax: yen(676), TaxRate: 10},
		"claim.tax":      {Amount: 7440, Tax: yen(551), TaxRate: 10},
		"claim.tax_rate": {Amount: 7440, TaxRate: 10, Lines: []Line{taxed(0, 7440)}},
	} {
		var check checker
		cl.Number, cl.Due = "A-1", "2030-01-01"
		check.claim(cl)
		if field == "" {
			require.Empty(t, check.found)
			continue
		}
		require.Len(t, check.found, 1)
		require.Equal(t, field, check.found[0].Field)
	}
	require.Equal(t, int64(551), (&Claim{Amount: 7440, TaxRate: 8}).TaxYen(), "its own rate suffices")
}
