package message

import "slices"

// The rates of consumption tax that a line of a claim can state, in percent. ReducedRate is 軽減税率: food and newspapers.
const (
	StandardRate = 10
	ReducedRate  = 8
)

// RateTotal is what the lines of one rate come to. Yen contains Tax. Rate 0: not taxed.
type RateTotal struct {
	Rate     int64
	Yen, Tax int64
}

// Rounding is how an issuer rounds the tax of a rate. The law leaves it to him, once for each rate of a document
// (消費税法施行令 70条の10).
type Rounding byte

const (
	Floor   Rounding = iota // 切捨て
	Nearest                 // 四捨五入
	Ceiling                 // 切上げ
)

// tax is what is contained in yen at a rate.
func (r Rounding) tax(yen, rate int64) int64 {
	whole := 100 + rate
	switch r {
	case Nearest:
		return (2*yen*rate + whole) / (2 * whole)
	case Ceiling:
		return (yen*rate + whole - 1) / whole
	}
	return yen * rate / whole
}

// RateTotals adds up lines by their rate, the highest first. Nil: none of them states a rate.
func RateTotals(lines []Line, r Rounding) []RateTotal {
	if !slices.ContainsFunc(lines, func(l Line) bool { return l.TaxRate != 0 }) {
		return nil
	}
	var totals []RateTotal
	for _, rate := range []int64{StandardRate, ReducedRate, 0} {
		t, found := RateTotal{Rate: rate}, false
		for _, l := range lines {
			if l.TaxRate == rate {
				t.Yen, found = t.Yen+l.Amount, true
			}
		}
		if found {
			t.Tax = r.tax(t.Yen, rate)
			totals = append(totals, t)
		}
	}
	return totals
}

// SumTax is the tax of all rates.
func SumTax(totals []RateTotal) (tax int64) {
	for _, t := range totals {
		tax += t.Tax
	}
	return tax
}

// TaxesOf is what lines come to by their rate, rounded as whoever stated the tax must have rounded. A negative tax is none
// stated: rounded down. Nil: no line states a rate. False: no rounding gives the tax.
func TaxesOf(lines []Line, tax int64) ([]RateTotal, bool) {
	for _, r := range []Rounding{Floor, Nearest, Ceiling} {
		if totals := RateTotals(lines, r); totals == nil || tax < 0 || SumTax(totals) == tax {
			return totals, true
		}
	}
	return nil, false
}

// TaxYen is the tax that the claim shows: the one that it states, else that of its lines; -1: none.
func (cl *Claim) TaxYen() int64 {
	if cl.Tax != nil {
		return *cl.Tax
	}
	if totals := RateTotals(cl.Lines, Floor); totals != nil {
		return SumTax(totals)
	}
	return -1
}
