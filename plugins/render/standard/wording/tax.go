package wording

import "github.com/kakitome/kakitome/plugins/proto"

// WithoutTax is what the lines of a claim add up to where they are without tax (税抜): the rest of the amount is the tax.
// False: they contain it, or there are none.
func WithoutTax(c *proto.Claim) (sum int64, ok bool) {
	for _, l := range c.GetLines() {
		sum += l.Yen
	}
	return sum, len(c.GetLines()) > 0 && c.TaxYen > 0 && sum+c.TaxYen == c.Yen
}
