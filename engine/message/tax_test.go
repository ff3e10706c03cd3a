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
	require.Equal(t, []RateTotal{{10, 105, 9}, {8, 1080, 80}, {0, 500, 0}}, RateTotals(lines, Floor))
	require.Equal(t, []RateTotal{{10, 105, 10}, {8, 1080, 80}, {0, 500, 0}}, RateTotals(lines, Nearest))
	require.Equal(t, []RateTotal{{10, 105, 10}, {8, 1080, 80}, {0, 500, 0}}, RateTotals(lines, Ceiling))
	require.Nil(t, RateTotals([]Line{taxed(0, 1)}, Floor), "no rate is stated")
	for tax, want := range map[int64]bool{-1: true, 89: true, 90: true, 88: false, 91: false} {
		totals, ok := TaxesOf(lines, tax)
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
	require.Equal(t, int64(171), claim(nil, taxed(10, 1001), taxed(8, 1080)).TaxYen())
	require.Equal(t, int64(-1), claim(nil, taxed(0, 1001)).TaxYen())
}
