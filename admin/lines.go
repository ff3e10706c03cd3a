package admin

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/kakitome/kakitome/engine/message"
)

// The lines of a claim in the form for one message: name, quantity, unit price and rate of tax of each row. A row's amount is not
// typed.

// lines reads them; rows that are empty are none.
func (fr *formReader) lines() (lines []message.Line) {
	for i := range message.MaxLines {
		n, at := strconv.Itoa(i), fmt.Sprintf("claim.lines[%d]", len(lines))
		if strings.TrimSpace(fr.f.Get("line_name"+n)+fr.f.Get("line_unit"+n)+fr.f.Get("line_quantity"+n)) == "" {
			continue
		}
		l := message.Line{Name: fr.text("line_name"+n, at+".name"), Quantity: 1, Unit: fr.yen("line_unit"+n, at+".unit")}
		if fr.text("line_quantity"+n, at+".quantity") != "" {
			l.Quantity = fr.yen("line_quantity"+n, at+".quantity")
		}
		l.TaxRate = fr.whole([]string{fr.text("line_rate"+n, at+".tax_rate")}, 0, 0, at+".tax_rate")
		fr.names[at+".amount"] = "line_unit" + n
		l.Amount = l.Quantity * l.Unit
		lines = append(lines, l)
	}
	fr.names["claim.lines"] = "line_name0"
	return lines
}

// setLines fills the rows.
func setLines(f url.Values, lines []message.Line) {
	for i, l := range lines {
		n := strconv.Itoa(i)
		f.Set("line_name"+n, l.Name)
		f.Set("line_quantity"+n, strconv.FormatInt(l.Quantity, 10))
		f.Set("line_unit"+n, strconv.FormatInt(l.Unit, 10))
		if l.TaxRate != 0 {
			f.Set("line_rate"+n, strconv.FormatInt(l.TaxRate, 10))
		}
	}
}
