package message

// The documents of a page that are made from data: invoice.go, reading.go.

func (p *parser) invoice(in *Invoice) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "number":
			return o.first(0) && p.str(&in.Number)
		case "date":
			return o.first(1) && p.str(&in.Date)
		case "to":
			return o.first(2) && p.str(&in.To)
		case "subject":
			return o.first(3) && p.str(&in.Subject)
		case "period":
			return o.first(4) && p.str(&in.Period)
		case "due":
			return o.first(5) && p.str(&in.Due)
		case "lines":
			in.Lines = []InvoiceLine{}
			return o.first(6) && p.array(func() bool {
				in.Lines = append(in.Lines, InvoiceLine{})
				return p.invoiceLine(&in.Lines[len(in.Lines)-1])
			})
		case "taxes":
			in.Taxes = []InvoiceTax{}
			return o.first(7) && p.array(func() bool {
				in.Taxes = append(in.Taxes, InvoiceTax{})
				return p.invoiceTax(&in.Taxes[len(in.Taxes)-1])
			})
		case "pay_to":
			return o.first(8) && p.str(&in.PayTo)
		case "remarks":
			return o.first(9) && p.str(&in.Remarks)
		}
		return false
	})
}

func (p *parser) invoiceLine(l *InvoiceLine) bool {
	var o, line once
	return p.object(func(key string) bool {
		if key == "date" {
			return o.first(0) && p.str(&l.Date)
		}
		return p.lineField(&line, &l.Line, key)
	})
}

func (p *parser) invoiceTax(t *InvoiceTax) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "rate":
			return o.first(0) && p.number(&t.Rate)
		case "tax":
			return o.first(1) && p.number(&t.Tax)
		}
		return false
	})
}

func (p *parser) reading(r *Reading) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "customer":
			return o.first(0) && p.str(&r.Customer)
		case "name":
			return o.first(1) && p.str(&r.Name)
		case "place":
			return o.first(2) && p.str(&r.Place)
		case "from":
			return o.first(3) && p.str(&r.From)
		case "to":
			return o.first(4) && p.str(&r.To)
		case "read_on":
			return o.first(5) && p.str(&r.ReadOn)
		case "next_on":
			return o.first(6) && p.str(&r.NextOn)
		case "values":
			r.Values = []ReadingValue{}
			return o.first(7) && p.array(func() bool {
				r.Values = append(r.Values, ReadingValue{})
				return p.readingValue(&r.Values[len(r.Values)-1])
			})
		case "months":
			r.Months = []ReadingMonth{}
			return o.first(8) && p.array(func() bool {
				r.Months = append(r.Months, ReadingMonth{})
				return p.readingMonth(&r.Months[len(r.Months)-1])
			})
		case "lines":
			r.Lines = []ReadingLine{}
			return o.first(9) && p.array(func() bool {
				r.Lines = append(r.Lines, ReadingLine{})
				return p.readingLine(&r.Lines[len(r.Lines)-1])
			})
		case "amount":
			r.Amount = new(int64)
			return o.first(10) && p.number(r.Amount)
		case "tax":
			r.Tax = new(int64)
			return o.first(11) && p.number(r.Tax)
		case "remarks":
			return o.first(12) && p.str(&r.Remarks)
		}
		return false
	})
}

func (p *parser) readingValue(v *ReadingValue) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "name":
			return o.first(0) && p.str(&v.Name)
		case "meter":
			return o.first(1) && p.str(&v.Meter)
		case "unit":
			return o.first(2) && p.str(&v.Unit)
		case "previous":
			return o.first(3) && p.str(&v.Previous)
		case "current":
			return o.first(4) && p.str(&v.Current)
		case "usage":
			return o.first(5) && p.str(&v.Usage)
		}
		return false
	})
}

func (p *parser) readingMonth(m *ReadingMonth) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "label":
			return o.first(0) && p.str(&m.Label)
		case "usage":
			return o.first(1) && p.str(&m.Usage)
		}
		return false
	})
}

func (p *parser) readingLine(l *ReadingLine) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "name":
			return o.first(0) && p.str(&l.Name)
		case "amount":
			return o.first(1) && p.number(&l.Amount)
		}
		return false
	})
}
