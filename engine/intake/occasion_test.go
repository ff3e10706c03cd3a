package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

type oneSegment struct{}

func (oneSegment) Measure(string) (Length, error) { return Length{Parts: 1}, nil }

func TestOccasionGivesItsWords(t *testing.T) {
	now := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	water := &tenant.Tenant{ID: "mizu", Name: "〇〇水道局", Brand: tenant.Brand{Phone: "000-000-0000"}}
	plan := func(d message.Draft) *plan {
		p := &plan{draft: &d, res: &Result{}, now: now, url: "https://s.example.jp/a/xxxxxxxxxx"}
		in := &Intake{Options: Options{Meter: oneSegment{}}}
		in.occasion(water, p)
		in.checkText(water, p)
		return p
	}
	d := message.Draft{Template: "std:reminder", Claim: &message.Claim{Number: "1", Amount: 12345, Due: "2026-12-31"}}
	p := plan(d)
	require.Empty(t, p.res.Problems)
	require.Empty(t, p.res.Warnings)
	require.Equal(t, "〇〇水道局からお支払いの確認のお願いです。"+p.url, p.text.with(p.url))
	require.Equal(t, "collection", p.draft.Class)
	require.Contains(t, p.draft.Page.Lead, "11月27日現在で、お客様のご利用代金についてご入金の確認が取れておりません")
	require.Contains(t, p.draft.Page.Closing, "000-000-0000")
	require.Nil(t, d.Page, "the draft as it came is what its key stands for")

	later := now.AddDate(0, 0, 7)
	p = plan(message.Draft{Template: "std:お支払いの督促", Class: "billing", SendAt: &later, Page: &message.Page{Title: "自社の題名", Rows: []message.Row{{Item: "a"}}},
		Vars: map[string]string{"company": "別名", "x": "y"}})
	require.Empty(t, p.res.Problems)
	require.Equal(t, "billing", p.draft.Class)
	require.Equal(t, "自社の題名", p.draft.Page.Title, "what the sender wrote stays")
	require.Contains(t, p.draft.Page.Lead, "12月4日現在", "the day before it is sent")
	require.Len(t, p.draft.Page.Rows, 1)
	require.Contains(t, p.text.with(""), "別名から")
	require.Len(t, p.res.Warnings, 1)
	require.Equal(t, "unused", p.res.Warnings[0].Code)

	// A value that only the page takes is no surplus.
	p = plan(message.Draft{Template: "std:summons", Vars: map[string]string{"phone": "111-111-1111"}})
	require.Empty(t, p.res.Warnings)
	require.Contains(t, p.draft.Page.Lead, "111-111-1111")

	p = plan(message.Draft{Template: "std:none"})
	require.Equal(t, "template", p.res.Problems[0].Field)
}
