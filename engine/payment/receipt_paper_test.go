package payment

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/render/standard/document"
)

// gallery is for the eye: go test ./engine/payment -run TestReceiptOnPaper -gallery DIR
var gallery = flag.String("gallery", "", "directory that every receipt is written to as a PDF")

// plan plans a claim that its page asks for as the subject, and commits it.
func (r *rig) plan(c *message.Claim, subject string) ulid.ULID {
	r.t.Helper()
	planned, problem, err := r.Plan(r.t.Context(), r.tenant, ulid.Make(), c, subject)
	require.NoError(r.t, err)
	require.Nil(r.t, problem)
	require.NoError(r.t, r.commit(r.t.Context(), planned.Changes))
	return planned.ID
}

// settled is such a claim with 確報.
func (r *rig) settled(c *message.Claim, subject string) ulid.ULID {
	r.t.Helper()
	claim := r.plan(c, subject)
	a := r.mustStart(claim, "card")
	n := r.told(c.Number, a, proto.PaymentState_CONFIRMED, c.Amount, time.Hour)
	require.Equal(r.t, 200, r.hook(n).Status)
	r.bank.set(func() { r.bank.payments[a.ID.String()] = n.Payment })
	return claim
}

// onPaper is what the standard renderer writes of a receipt's model, as pdftotext reads it, with single spaces.
func onPaper(t *testing.T, name string, d *proto.Document) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext is not installed")
	}
	pdf, refused := document.Render(d)
	require.Nil(t, refused)
	if *gallery != "" {
		require.NoError(t, os.WriteFile(filepath.Join(*gallery, name+".pdf"), pdf, 0o644))
	}
	cmd := exec.Command(tool, "-layout", "-", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(out)), " ")
}

// A qualified invoice says what was paid for, and the total and tax of each rate; without them the same tenant's is a 受領証.
func TestReceiptOnPaper(t *testing.T) {
	r := newRig(t)
	yen := func(n int64) *int64 { return &n }
	claim := func(number string, amount int64, tax *int64, rate int64, lines ...message.Line) *message.Claim {
		return &message.Claim{Number: number, Amount: amount, Tax: tax, TaxRate: rate, Due: "2026-12-31", Payer: "スイドウ タロウ", Lines: lines}
	}
	line := func(name string, yen, rate int64) message.Line {
		return message.Line{Name: name, Quantity: 1, Unit: yen, Amount: yen, TaxRate: rate}
	}
	const number = "登録番号 T9234567890123"
	for name, c := range map[string]struct {
		claim         *message.Claim
		subject, lang string
		title         string
		qualified     bool
		want, not     []string // of the paper; none: it is not drawn
	}{
		"rate":      {claim("A-1", 7440, yen(676), 10), "水道料金のお知らせ", "", "水道料金のお知らせ", true, []string{"領 収 書", number, "内容 水道料金のお知らせ", "7,440円", "10％対象（税込） 7,440円 676円", "スイドウ タロウ 様", "2026年11月22日"}, []string{"インボイス"}},
		"rate-8":    {claim("A-2", 1080, nil, 8), "お弁当", "", "お弁当", true, []string{"領 収 書", number, "内容 お弁当 ※", "8％対象（税込）※ 1,080円 80円", "※は軽減税率対象品目です。"}, []string{"インボイス"}},
		"lines":     {claim("A-3", 2081, nil, 0, line("弁当", 1080, 8), line("容器", 1001, 10)), "ご注文", "", "ご注文", true, nil, nil},
		"no-rate":   {claim("A-4", 7440, yen(551), 0), "水道料金のお知らせ", "", "水道料金のお知らせ", false, []string{"受 領 証", "内容 水道料金のお知らせ", "うち消費税等相当額 551円", "適格請求書（インボイス）ではありません"}, []string{"領 収 書", "登録番号", "対象（税込）"}},
		"bare-line": {claim("A-5", 7440, yen(676), 0, line("水道使用料", 7440, 0)), "", "", "水道使用料", false, nil, nil},
		"old":       {claim("A-6", 7440, yen(676), 0), "", "", "請求番号 A-6 のご請求分", false, nil, nil},
		"old-rate":  {claim("A-7", 7440, yen(676), 10), "", "en", "Claim no. A-7", false, nil, nil},
	} {
		doc, _ := r.given(r.settled(c.claim, c.subject), ReceiptOptions{Lang: c.lang})
		require.Equal(t, c.title, doc.Title, name)
		require.Equal(t, c.qualified, doc.Issuer.RegistrationNumber != "", name)
		if c.want == nil && *gallery == "" {
			continue
		}
		text := onPaper(t, name, doc)
		for _, want := range c.want {
			require.Contains(t, text, want, name)
		}
		for _, not := range c.not {
			require.NotContains(t, text, not, name)
		}
	}
	r.tenant.Issuer.Registration = ""
	doc, _ := r.given(r.settled(claim("B-1", 7440, nil, 10), "水道料金"), ReceiptOptions{})
	require.Empty(t, doc.Issuer.RegistrationNumber)
	require.Equal(t, "水道料金", doc.Title)
}

// The subject is a fact of the claim: it is sealed, stays when the amount changes, and the message's own content is not asked for it.
func TestSubjectStaysWithTheClaim(t *testing.T) {
	r := newRig(t)
	claim := r.plan(&message.Claim{Number: "A-1", Amount: 7440, TaxRate: 10, Due: "2026-12-31"}, "水道料金のお知らせ")
	events, err := r.s.Load(t.Context(), scope, claimRef(r.tenant.ID, claim))
	require.NoError(t, err)
	require.NotContains(t, string(events[0].Data), "水道", "a page's title may be of its reader")

	amount, wrong := int64(1100), int64(99)
	_, err = r.Patch(t.Context(), r.tenant, "A-1", Patch{Amount: &amount, Tax: &wrong}, "key:main")
	require.ErrorContains(t, err, "tax")
	s, err := r.Patch(t.Context(), r.tenant, "A-1", Patch{Amount: &amount}, "key:main")
	require.NoError(t, err)
	require.Equal(t, "水道料金のお知らせ", s.Content.Subject)
	require.Equal(t, [2]int64{100, 10}, [2]int64{s.Tax, s.TaxRate}, "the rate is that of the new amount too")

	// A claim of before, or one that lost its lines, can be told its rate.
	r.plan(&message.Claim{Number: "B-1", Amount: 1100, Due: "2026-12-31", Lines: []message.Line{{Name: "水道使用料", Quantity: 1, Unit: 1100, Amount: 1100, TaxRate: 10}}}, "水道料金")
	rate := int64(8)
	_, err = r.Patch(t.Context(), r.tenant, "B-1", Patch{TaxRate: &rate}, "key:main")
	require.ErrorContains(t, err, "tax_rate", "its lines state theirs")
	amount = 1080
	s, err = r.Patch(t.Context(), r.tenant, "B-1", Patch{Amount: &amount, TaxRate: &rate}, "key:main")
	require.NoError(t, err)
	require.Equal(t, [2]int64{80, 8}, [2]int64{s.Tax, s.TaxRate})
}

// What is issued bears the logo of then, and so does each copy.
func TestReceiptBearsTheLogoOfItsDay(t *testing.T) {
	r := newRig(t)
	logo := func(c color.Color) *tenant.Logo {
		img := image.NewNRGBA(image.Rect(0, 0, 240, 60))
		for i := range 240 * 60 {
			img.Set(i%240, i/240, c)
		}
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, img))
		l, err := tenant.ReadLogo(b.Bytes())
		require.NoError(t, err)
		return l
	}
	then := logo(color.NRGBA{B: 0xcc, A: 0xff})
	r.tenant.Brand.Logo = then
	claim := r.settled(&message.Claim{Number: "A-1", Amount: 7440, TaxRate: 10, Due: "2026-12-31", Payer: "スイドウ タロウ"}, "水道料金")
	doc, _ := r.given(claim, ReceiptOptions{})
	require.Equal(t, then.PNG, doc.Logo)

	r.tenant.Brand.Logo = logo(color.NRGBA{R: 0xcc, A: 0xff})
	r.pass(time.Hour)
	doc, _ = r.given(claim, ReceiptOptions{})
	require.Equal(t, uint32(1), doc.Receipt.Copy)
	require.Equal(t, then.PNG, doc.Logo)
}
