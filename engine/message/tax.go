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

// tax is what is contained in yen at a rate, or, where yen is without tax, what comes on top.
func (r Rounding) tax(yen, rate int64, without bool) int64 {
	whole := 100 + rate
	if without {
		whole = 100
	}
	switch r {
	case Nearest:
		return (2*yen*rate + whole) / (2 * whole)
	case Ceiling:
		return (yen*rate + whole - 1) / whole
	}
	return yen * rate / whole
}

// SumOf is what lines add up to.
func SumOf(lines []Line) (sum int64) {
	for i := range lines {
		sum += lines[i].Amount
	}
	return sum
}

// WithoutTax reports whether the lines of a claim are without tax (税抜): with its tax they add up to its amount. Else they contain
// it (税込), and add up to the amount themselves.
func (cl *Claim) WithoutTax() bool { return len(cl.Lines) > 0 && SumOf(cl.Lines) < cl.Amount }

// RateTotals adds up lines by their rate, the highest first; without: they are without tax. Nil: none of them states a rate.
func RateTotals(lines []Line, r Rounding, without bool) []RateTotal {
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
			if t.Tax = r.tax(t.Yen, rate, without); without {
				t.Yen += t.Tax
			}
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

// Rated are the lines of a claim with its own rate: without lines it is one line of that rate.
func Rated(lines []Line, rate, amount int64) []Line {
	if rate == 0 || len(lines) > 0 {
		return lines
	}
	return []Line{{Amount: amount, TaxRate: rate}}
}

// TaxesOf is what lines of an amount come to by their rate, rounded as whoever stated the tax must have rounded. A negative tax is
// none stated: rounded down. Nil: no line states a rate. False: no rounding gives the tax, or the lines are without tax and do
// not add up to the amount with this one.
func TaxesOf(lines []Line, amount, tax int64) ([]RateTotal, bool) {
	sum := SumOf(lines)
	without := len(lines) > 0 && sum < amount
	if without && sum+tax != amount {
		return nil, false
	}
	for _, r := range []Rounding{Floor, Nearest, Ceiling} {
		if totals := RateTotals(lines, r, without); totals == nil || tax < 0 || SumTax(totals) == tax {
			return totals, true
		}
	}
	return nil, false
}

// TaxYen is the tax that the claim shows: the one that it states, else that of its rates; -1: none.
func (cl *Claim) TaxYen() int64 {
	if cl.Tax != nil {
		return *cl.Tax
	}
	if totals := RateTotals(Rated(cl.Lines, cl.TaxRate, cl.Amount), Floor, false); totals != nil {
		return SumTax(totals)
	}
	return -1
}

// taxOnTop is the tax that the lines of a claim are without; 0: they contain it, or there is no claim.
func (cl *Claim) taxOnTop() int64 {
	if cl == nil || !cl.WithoutTax() {
		return 0
	}
	return cl.Amount - SumOf(cl.Lines)
}
