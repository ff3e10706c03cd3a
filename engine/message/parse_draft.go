package message

func (p *parser) draft(d *Draft) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "key":
			return o.first(0) && p.str(&d.Key)
		case "to":
			return o.first(1) && p.str(&d.To)
		case "recipient":
			d.Recipient = new(Recipient)
			return o.first(2) && p.recipient(d.Recipient)
		case "class":
			return o.first(3) && p.str(&d.Class)
		case "text":
			return o.first(4) && p.str(&d.Text)
		case "template":
			return o.first(5) && p.str(&d.Template)
		case "vars":
			d.Vars = map[string]string{}
			return o.first(6) && p.vars(d.Vars)
		case "sender":
			return o.first(7) && p.str(&d.Sender)
		case "reference":
			return o.first(8) && p.str(&d.Reference)
		case "send":
			d.Send = new(bool)
			return o.first(9) && p.truth(d.Send)
		case "send_at":
			return o.first(10) && p.time(&d.SendAt)
		case "window":
			d.Window = new(Window)
			return o.first(11) && p.window(d.Window)
		case "valid_until":
			return o.first(12) && p.time(&d.ValidUntil)
		case "link":
			d.Link = new(Link)
			return o.first(13) && p.link(d.Link)
		case "identity":
			d.Identity = new(Identity)
			return o.first(14) && p.identity(d.Identity)
		case "page":
			d.Page = new(Page)
			return o.first(15) && p.page(d.Page)
		case "claim":
			d.Claim = new(Claim)
			return o.first(16) && p.claim(d.Claim)
		}
		return false
	})
}

func (p *parser) recipient(r *Recipient) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "registered_on":
			return o.first(0) && p.str(&r.RegisteredOn)
		case "email":
			return o.first(1) && p.str(&r.Email)
		}
		return false
	})
}

func (p *parser) vars(to map[string]string) bool {
	return p.object(func(key string) bool {
		if _, twice := to[key]; twice {
			return false
		}
		var v string
		ok := p.str(&v)
		to[key] = v
		return ok
	})
}

func (p *parser) window(w *Window) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "from":
			return o.first(0) && p.str(&w.From)
		case "to":
			return o.first(1) && p.str(&w.To)
		}
		return false
	})
}

func (p *parser) link(l *Link) bool {
	var o once
	return p.object(func(key string) bool {
		return key == "expires_at" && o.first(0) && p.time(&l.ExpiresAt)
	})
}

func (p *parser) identity(id *Identity) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "items":
			id.Items = make([]IdentityItem, 0, 2)
			return o.first(0) && p.array(func() bool {
				id.Items = append(id.Items, IdentityItem{})
				return p.identityItem(&id.Items[len(id.Items)-1])
			})
		case "code":
			return o.first(1) && p.truth(&id.Code)
		case "code_digits":
			id.CodeDigits = new(int64)
			return o.first(2) && p.number(id.CodeDigits)
		}
		return false
	})
}

func (p *parser) identityItem(it *IdentityItem) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "field":
			return o.first(0) && p.str(&it.Field)
		case "label":
			return o.first(1) && p.str(&it.Label)
		case "level":
			return o.first(2) && p.str(&it.Level)
		case "value":
			return o.first(3) && p.str(&it.Value)
		}
		return false
	})
}

func (p *parser) page(g *Page) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "title":
			return o.first(0) && p.str(&g.Title)
		case "lead":
			return o.first(1) && p.str(&g.Lead)
		case "rows":
			g.Rows = make([]Row, 0, 4)
			return o.first(2) && p.array(func() bool {
				g.Rows = append(g.Rows, Row{})
				return p.row(&g.Rows[len(g.Rows)-1])
			})
		case "closing":
			return o.first(3) && p.str(&g.Closing)
		case "contact":
			g.Contact = new(Contact)
			return o.first(4) && p.contact(g.Contact)
		case "documents":
			g.Documents = []Attachment{}
			return o.first(5) && p.array(func() bool {
				g.Documents = append(g.Documents, Attachment{})
				return p.attachment(&g.Documents[len(g.Documents)-1])
			})
		case "notice_pdf":
			return o.first(6) && p.truth(&g.NoticePDF)
		case "survey":
			g.Survey = new(Survey)
			return o.first(7) && p.survey(g.Survey)
		case "invoice":
			g.Invoice = new(Invoice)
			return o.first(8) && p.invoice(g.Invoice)
		case "reading":
			g.Reading = new(Reading)
			return o.first(9) && p.reading(g.Reading)
		case "sheet_message":
			return o.first(10) && p.str(&g.SheetMessage)
		case "addressee":
			return o.first(11) && p.str(&g.Addressee)
		case "period":
			return o.first(12) && p.str(&g.Period)
		}
		return false
	})
}

func (p *parser) row(r *Row) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "item":
			return o.first(0) && p.str(&r.Item)
		case "value":
			return o.first(1) && p.str(&r.Value)
		}
		return false
	})
}

func (p *parser) contact(c *Contact) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "name":
			return o.first(0) && p.str(&c.Name)
		case "phone":
			return o.first(1) && p.str(&c.Phone)
		case "hours":
			return o.first(2) && p.str(&c.Hours)
		}
		return false
	})
}

func (p *parser) survey(s *Survey) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "lead":
			return o.first(0) && p.str(&s.Lead)
		case "items":
			s.Items = []SurveyItem{}
			return o.first(1) && p.array(func() bool {
				s.Items = append(s.Items, SurveyItem{})
				return p.surveyItem(&s.Items[len(s.Items)-1])
			})
		}
		return false
	})
}

func (p *parser) surveyItem(it *SurveyItem) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "title":
			return o.first(0) && p.str(&it.Title)
		case "type":
			return o.first(1) && p.str(&it.Type)
		case "choices":
			return o.first(2) && p.strs(&it.Choices)
		case "required":
			return o.first(3) && p.truth(&it.Required)
		}
		return false
	})
}

func (p *parser) claim(c *Claim) bool {
	var o once
	return p.object(func(key string) bool {
		switch key {
		case "number":
			return o.first(0) && p.str(&c.Number)
		case "amount":
			return o.first(1) && p.number(&c.Amount)
		case "tax":
			c.Tax = new(int64)
			return o.first(2) && p.number(c.Tax)
		case "due":
			return o.first(3) && p.str(&c.Due)
		case "lines":
			c.Lines = []Line{}
			return o.first(4) && p.array(func() bool {
				c.Lines = append(c.Lines, Line{})
				return p.line(&c.Lines[len(c.Lines)-1])
			})
		case "methods":
			return o.first(5) && p.strs(&c.Methods)
		case "payer":
			return o.first(6) && p.str(&c.Payer)
		case "amend":
			return o.first(7) && p.truth(&c.Amend)
		case "promises":
			return o.first(8) && p.truth(&c.Promises)
		case "debit":
			return o.first(9) && p.truth(&c.Debit)
		case "tax_rate":
			return o.first(10) && p.number(&c.TaxRate)
		}
		return false
	})
}

func (p *parser) line(l *Line) bool {
	var o once
	return p.object(func(key string) bool { return p.lineField(&o, l, key) })
}

func (p *parser) lineField(o *once, l *Line, key string) bool {
	switch key {
	case "name":
		return o.first(0) && p.str(&l.Name)
	case "quantity":
		return o.first(1) && p.number(&l.Quantity)
	case "unit":
		return o.first(2) && p.number(&l.Unit)
	case "amount":
		return o.first(3) && p.number(&l.Amount)
	case "tax_rate":
		return o.first(4) && p.number(&l.TaxRate)
	}
	return false
}
