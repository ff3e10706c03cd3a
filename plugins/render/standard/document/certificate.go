package document

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/wording"
)

const stepSize = 8.0 // points: a time fits on one line

var tokyo = time.FixedZone("Asia/Tokyo", 9*60*60)

// instant is a time to the millisecond with its offset, as a certificate needs it: 2026/11/28 10:13:07.123 +09:00.
func instant(t *timestamppb.Timestamp) (date, clock string) {
	at := t.AsTime().In(tokyo)
	return at.Format("2006/01/02"), at.Format("15:04:05.000 -07:00")
}

// certificate says who sent, to whom, each step with its time and digest, and how that is proven.
func certificate(d *proto.Document) *sheet {
	lang := wording.Of(d.Lang)
	c := d.Certificate
	title := lang.Say("配達証明書", "Certificate of delivery")
	if c.Provisional {
		title = lang.Say("配達証明書（暫定）", "Certificate of delivery (provisional)")
	}
	s := newSheet(title+" "+d.Title, d.Issuer.Name, string(lang), d.Created.AsTime())
	s.numbered = true
	facts := []column{{width: 40, tint: true}, {width: width - 40}}
	s.size(20)
	s.bold(func() { s.centred(s.y, title) })
	s.y += s.line() + 2
	date, clock := instant(d.Created)
	s.aside(append([]string{lang.Say("作成 %s %s", "Made %s %s", date, clock)}, issuer(lang, d.Issuer)...))
	s.space(3)
	if d.Lead != "" {
		s.paragraph(body, wording.Spelled(d.Lead))
		s.space(3)
	}
	s.tableOf(small, facts, nil, rows(d.Rows))
	for _, p := range c.Parts {
		s.heading(p.Title)
		columns := []column{{width: 9, right: true}, {width: 52}, {width: 41}, {width: 43}, {width: 25}}
		header := []string{"No.", lang.Say("日時（日本時間）", "Time (Japan)"), lang.Say("内容", "Step"), lang.Say("詳細", "Detail"), lang.Say("ダイジェスト", "Digest")}
		var steps [][]string
		for _, e := range p.Steps {
			date, clock := instant(e.At)
			steps = append(steps, []string{strconv.Itoa(int(e.Number)), date + " " + clock, e.What, e.Detail, e.Digest})
		}
		s.tableOf(stepSize, columns, header, steps)
	}
	s.heading(lang.Say("記録の証明", "How the record is proven"))
	s.tableOf(small, facts, nil, rows(c.Proof))
	s.space(2)
	for _, note := range c.Notes {
		s.paragraph(small, note)
		s.space(1)
	}
	return s
}
