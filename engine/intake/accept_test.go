package intake

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestAcceptedMessageIsOnRecordSealedAndDue(t *testing.T) {
	r := openRoom(t)
	d := bill()
	d.Identity = &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "19980101"}}, Code: true}
	d.Claim = &message.Claim{Number: "INV-1", Amount: 7440, Due: time.Now().AddDate(0, 0, 60).Format("2006-01-02")}
	res := r.accept(t, d)[0]
	require.Empty(t, res.Problems)
	require.NoError(t, res.Err)
	require.True(t, res.Accepted())
	require.Regexp(t, `^\d{17}$`, res.No)
	require.Regexp(t, `^https://s\.example\.jp/a/[2-9A-HJ-NP-Za-km-z]{10}$`, res.URL)
	require.Equal(t, message.Waiting, res.Phase)
	require.Equal(t, "INV-1", res.Claim.Number)
	require.Equal(t, "お知らせ", r.claims.paid, "the page's title")

	s := r.state(t, res.ID)
	h := s.Head
	require.Equal(t, "090-****-0001", h.Masked)
	require.Equal(t, "docomo", h.Carrier)
	require.Equal(t, "key:erp", h.By)
	require.Equal(t, message.LaneNotice, h.Lane)
	require.Equal(t, 1, h.Parts)
	require.True(t, h.Code)
	require.Len(t, h.Answers, 1)
	due, _ := d.Claim.DueTime()
	require.True(t, h.LinkExpires.Equal(due), "the link lasts until the claim is due")
	require.Equal(t, 90*24*time.Hour, h.StateUntil.Sub(h.LinkExpires))
	require.Equal(t, message.SMS{Number: "+819000010001", Text: "〇〇水道局からのお知らせです。" + res.URL, Reference: "C-0001"}, r.sms(t, res.ID))

	events, err := r.Store.Load(t.Context(), tenant.Only("mizu"), store.Ref{Tenant: "mizu", Kind: store.Message, ID: res.ID})
	require.NoError(t, err)
	for _, secret := range []string{"9000010001", "19980101", "C-0001", "お知らせ"} {
		require.NotContains(t, string(events[0].Data), secret)
	}
	items, err := r.Store.Due(nil, "docomo/notice", store.Cursor{}, time.Now().Add(time.Second), 10)
	require.NoError(t, err)
	require.Len(t, items, 1)
	require.Equal(t, res.ID, items[0].Ref.ID)
	require.Len(t, r.links.links, 1)
	require.Equal(t, h.Token, r.links.links[0].Head.Token)

	for space, key := range map[store.Space]string{store.ByToken: h.Token, store.ByNo: h.No} {
		ref, _, err := r.Store.Lookup(t.Context(), tenant.Only("mizu"), space, key)
		require.NoError(t, err)
		require.Equal(t, res.ID, ref.ID)
		_, _, err = r.Store.Lookup(t.Context(), tenant.Only("gasu"), space, key)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	number, err := carrier.ParseNumber(docomo)
	require.NoError(t, err)
	for _, f := range []Filter{{Number: number}, {Last4: "0001"}, {Reference: "C-0001"}, {Class: message.Notice, Via: message.ViaAPI, Carrier: "docomo"}} {
		for id, want := range map[tenant.ID]int{"mizu": 1, "gasu": 0} {
			terms, err := f.Terms(r.Store, id)
			require.NoError(t, err)
			refs, err := r.Store.Search(t.Context(), tenant.Only(id), store.Query{Kind: store.Message, Terms: terms, Limit: 10})
			require.NoError(t, err)
			require.Len(t, refs, want, "%v of %s", f, id)
		}
	}
}

func TestRefusalNamesFieldAndReason(t *testing.T) {
	r := openRoom(t)
	r.documents["d1"] = "gasu"
	past, far := time.Now().Add(-time.Hour), time.Now().Add(70*24*time.Hour)
	soon, later := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	cases := map[string]struct {
		change      func(*message.Draft)
		field, code string
	}{
		"landline":        {func(d *message.Draft) { d.To = "03-1234-5678" }, "to", "landline"},
		"ip phone":        {func(d *message.Draft) { d.To = "050-1234-5678" }, "to", "ip_phone"},
		"m2m":             {func(d *message.Draft) { d.To = "020-1234-5678" }, "to", "m2m"},
		"foreign":         {func(d *message.Draft) { d.To = "+16502530000" }, "to", "foreign"},
		"toll-free":       {func(d *message.Draft) { d.To = "0800-123-4567" }, "to", "special"},
		"no number":       {func(d *message.Draft) { d.To = "x" }, "to", "malformed"},
		"real number":     {func(d *message.Draft) { d.To = "090-1234-5678" }, "to", "unknown_carrier"},
		"not approved":    {func(d *message.Draft) { d.To = rakuten }, "sender", "unapproved"},
		"other's address": {func(d *message.Draft) { d.To = au; d.Class = "otp"; d.Page = nil; d.Text = "1234" }, "sender", "unapproved"},
		"no profile":      {func(d *message.Draft) { d.Sender = "nobody" }, "sender", "unknown"},
		"no template":     {func(d *message.Draft) { d.Text, d.Template = "", "none" }, "template", "unknown"},
		"no value":        {func(d *message.Draft) { d.Text, d.Template = "", "bill" }, "vars.name", "required"},
		"two links":       {func(d *message.Draft) { d.Text = "{url} {url}" }, "text", "too_many"},
		"nothing to link": {func(d *message.Draft) { d.Page = nil }, "text", "mismatch"},
		"too long":        {func(d *message.Draft) { d.Text = strings.Repeat("あ", 39) + "{url}" }, "text", "too_long"},
		"far too long":    {func(d *message.Draft) { d.Text = strings.Repeat("{", 100_000) }, "text", "too_long"},
		"long value":      {func(d *message.Draft) { d.Vars = map[string]string{"a": strings.Repeat("あ", 1000)} }, "vars.*", "too_long"},
		"control":         {func(d *message.Draft) { d.Text = "a\x07{url}" }, "text", "pattern"},
		"right to left":   {func(d *message.Draft) { d.Text = "a\u202eb {url}" }, "text", "pattern"},
		"past":            {func(d *message.Draft) { d.SendAt = &past }, "send_at", "past"},
		"far":             {func(d *message.Draft) { d.SendAt = &far }, "send_at", "range"},
		"was valid":       {func(d *message.Draft) { d.ValidUntil = &past }, "valid_until", "past"},
		"valid too long":  {func(d *message.Draft) { d.ValidUntil = &far }, "valid_until", "range"},
		"link ended":      {func(d *message.Draft) { d.SendAt, d.Link = &later, &message.Link{ExpiresAt: &soon} }, "link.expires_at", "past"},
		"code with page":  {func(d *message.Draft) { d.Class = "otp" }, "class", "mismatch"},
		"document":        {func(d *message.Draft) { d.Page.Documents = []message.Attachment{{ID: "d1"}} }, "page.documents[0]", "unknown"},
		"method": {func(d *message.Draft) {
			d.Claim = &message.Claim{Number: "1", Amount: 1, Due: "2030-01-01", Methods: []string{"gold"}}
		}, "claim.methods[0]", "unknown"},
		"answer": {func(d *message.Draft) {
			d.Identity = &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "壊"}}}
		}, "identity.items[0].value", "pattern"},
		"by itself": {func(d *message.Draft) { d.Page.Title = "" }, "page.title", "required"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := bill()
			c.change(&d)
			res := r.accept(t, d)[0]
			require.False(t, res.Accepted())
			require.NoError(t, res.Err)
			require.True(t, func() bool {
				for _, p := range res.Problems {
					if p.Field == c.field && p.Code == c.code {
						return true
					}
				}
				return false
			}(), "%v", res.Problems)
			for _, p := range res.Problems {
				require.NotContains(t, p.Text("ja"), "1234-5678")
				if p.Detail != "" && !strings.Contains(p.Detail, "U+") {
					require.NotContains(t, p.Text("ja"), p.Detail, "the detail has no Japanese")
				}
			}
		})
	}
	count, err := r.Store.Count(t.Context(), tenant.Only("mizu"), store.Query{Kind: store.Message}, 10)
	require.NoError(t, err)
	require.Zero(t, count, "what was refused is not stored")
}

func TestOneBadDraftLeavesTheOthers(t *testing.T) {
	r := openRoom(t)
	bad := bill()
	bad.To = "0312345678"
	res := r.accept(t, bill(), bad, bill())
	require.True(t, res[0].Accepted())
	require.False(t, res[1].Accepted())
	require.True(t, res[2].Accepted())
	require.NotEqual(t, res[0].URL, res[2].URL)
}

func TestSilentIdentityModuleFailsOnlyWhoNeedsIt(t *testing.T) {
	r := openRoom(t)
	r.identity.fails = errors.New("module is down")
	d := bill()
	d.Identity = &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "19980101"}}}
	res := r.accept(t, d, bill())
	require.ErrorContains(t, res[0].Err, "module is down")
	require.Empty(t, res[0].Problems)
	require.True(t, res[1].Accepted())
}

func TestTextGetsItsLinkOnce(t *testing.T) {
	r := openRoom(t)
	vars := map[string]string{"name": "山田{url}"}
	for _, c := range []struct {
		draft message.Draft
		want  string
	}{
		{message.Draft{Text: "お知らせ {url} まで"}, "お知らせ URL まで"},
		{message.Draft{Text: "お知らせ"}, "お知らせ URL"},
		{message.Draft{Text: "{x} {お知らせ\r\n", Vars: map[string]string{"y": "1"}}, "{x} {お知らせ\n URL"},
		{message.Draft{Template: "bill", Vars: vars}, "山田{url}様 〇〇水道局です。URL"},
	} {
		c.draft.To, c.draft.Page = docomo, &message.Page{Title: "x"}
		res := r.accept(t, c.draft)[0]
		require.True(t, res.Accepted(), "%v", res.Problems)
		require.Equal(t, strings.ReplaceAll(c.want, "URL", res.URL), r.sms(t, res.ID).Text)
	}
}

func TestSegmentsAreTheTenantsChoice(t *testing.T) {
	r := openRoom(t)
	long := bill()
	long.Text = strings.Repeat("𠮷", 30) + strings.Repeat("あ", 41) + "{url}" // 60 + 41 + 33 units
	require.Equal(t, int64(134), r.accept(t, long)[0].Problems[0].Got)
	s := shop("mizu")
	s.Policy.MaxSegments = 2
	require.NoError(t, r.Tenants.Apply(t.Context(), s))
	res := r.accept(t, long)[0]
	require.True(t, res.Accepted(), "%v", res.Problems)
	require.Equal(t, 2, r.state(t, res.ID).Head.Parts)
	long.Text = "あ" + long.Text
	require.Equal(t, int64(134), r.accept(t, long)[0].Problems[0].Limit)
}

func TestUCS2DoesNotCutAPair(t *testing.T) {
	for units, want := range map[string]int{strings.Repeat("あ", 70): 1, strings.Repeat("あ", 71): 2, strings.Repeat("あ", 134): 2, strings.Repeat("あ", 66) + "😀" + strings.Repeat("あ", 66): 3, "": 1} {
		l, err := UCS2{}.Measure(units)
		require.NoError(t, err)
		require.Equal(t, want, l.Parts)
	}
}

func TestLinkWithoutSMS(t *testing.T) {
	r := openRoom(t)
	no := false
	res := r.accept(t, message.Draft{To: rakuten, Send: &no, Text: "x", Page: &message.Page{Title: "x"}})[0]
	require.True(t, res.Accepted(), "%v", res.Problems)
	require.Equal(t, message.LinkOnly, res.Phase)
	require.NotEmpty(t, res.URL)
	require.Equal(t, "unused", res.Warnings[0].Code)
	queues, err := r.Store.Queues()
	require.NoError(t, err)
	require.Empty(t, queues)
	require.Empty(t, r.sms(t, res.ID).Text)
	require.Len(t, r.links.links, 1)
}

func TestSameKeySameBodyIsOneMessage(t *testing.T) {
	r := openRoom(t)
	d := bill()
	d.Key = "order-1"
	first := r.accept(t, d)[0]
	require.True(t, first.Accepted())
	again := r.accept(t, d)[0]
	require.True(t, again.Repeated)
	require.Equal(t, []string{first.ID.String(), first.No, first.URL}, []string{again.ID.String(), again.No, again.URL})

	other := d
	other.Reference = "C-0002"
	res := r.accept(t, other)[0]
	require.Equal(t, message.Problem{Field: "key", Code: "conflict", Value: d.Key, Detail: "the key was used for another message"}, res.Problems[0])

	res2, err := r.Accept(t.Context(), Request{Tenant: "gasu", Via: message.ViaAPI, Drafts: []message.Draft{d}})
	require.NoError(t, err)
	require.True(t, res2[0].Accepted())
	require.False(t, res2[0].Repeated, "keys are a tenant's own")

	twice := bill()
	twice.Key = "order-2"
	both := r.accept(t, twice, twice, other)
	require.Equal(t, both[0].ID, both[1].ID)
	require.False(t, both[0].Repeated)
	require.True(t, both[1].Repeated)
	require.NotEmpty(t, both[2].Problems)

	r.DoNotSend = unwanted{d.To}
	again = r.accept(t, d)[0]
	require.True(t, again.Repeated, "the first answer holds, whatever would be said now: %v", again.Problems)
	require.Equal(t, first.ID, again.ID)
	require.Empty(t, again.Problems)

	past := time.Now().Add(-30 * 24 * time.Hour)
	d.Link = &message.Link{ExpiresAt: &past}
	require.Equal(t, "conflict", r.accept(t, d)[0].Problems[0].Code)
}

func TestHundredCallersWithOneKeyGetOneAnswer(t *testing.T) {
	r := openRoom(t)
	d := bill()
	d.Key = "09000010001" // senders do that
	d.Claim = &message.Claim{Number: "INV-9", Amount: 100, Due: "2030-01-01"}
	results := make([]Result, 100)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			res, err := r.Accept(context.Background(), Request{Tenant: "mizu", Via: message.ViaAPI, Drafts: []message.Draft{d}})
			if err != nil || !res[0].Accepted() {
				t.Error(err, res[0].Err, res[0].Problems)
			}
			results[i] = res[0]
		})
	}
	wg.Wait()
	first := 0
	for _, res := range results {
		require.Equal(t, results[0].ID, res.ID)
		require.Equal(t, results[0].URL, res.URL)
		require.Equal(t, results[0].Claim, res.Claim)
		if !res.Repeated {
			first++
		}
	}
	require.Equal(t, 1, first)
	count, err := r.Store.Count(t.Context(), tenant.Only("mizu"), store.Query{Kind: store.Message}, 10)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.Len(t, r.links.links, 1)
}

func TestOneClaimNumberIsOneClaim(t *testing.T) {
	r := openRoom(t)
	var drafts []message.Draft
	for range 20 {
		d := bill()
		d.Claim = &message.Claim{Number: "INV-7", Amount: 500, Due: "2030-01-01"}
		drafts = append(drafts, d)
	}
	drafts[10].Claim.Amount = 501
	for i, res := range r.accept(t, drafts...) {
		if i == 10 {
			require.Equal(t, "conflict", res.Problems[0].Code)
			continue
		}
		require.True(t, res.Accepted(), "%d: %v %v", i, res.Problems, res.Err)
		ref, _, err := r.Store.Lookup(t.Context(), tenant.Only("mizu"), store.ByClaimNumber, "INV-7")
		require.NoError(t, err)
		require.Equal(t, ref.ID, res.Claim.ID)
		require.Equal(t, ref.ID, r.state(t, res.ID).Head.Claim)
	}
}

// TestKeysOfAnOlderProgramHold: a digest that was stored in its first form still tells the same body from another.
func TestKeysOfAnOlderProgramHold(t *testing.T) {
	r := openRoom(t)
	d := bill()
	first := r.accept(t, d)[0]
	text, err := json.Marshal(d)
	require.NoError(t, err)
	plain := sha256.Sum256(append(text, message.ViaAPI...))
	sum, err := r.Store.Keyed("mizu", "request", string(plain[:]))
	require.NoError(t, err)
	key, err := KeyName(r.Store, "mizu", "order-1")
	require.NoError(t, err)
	errs, err := r.Store.Commit(t.Context(), store.Tx{{
		Ref: store.Ref{Tenant: "mizu", Kind: store.Message, ID: first.ID}, Expect: store.Any,
		Names: []store.Name{{Space: store.ByKey, Key: key, Value: sum[:], Exclusive: true}},
	}})
	require.NoError(t, err)
	require.NoError(t, errs[0])
	d.Key = "order-1"
	again := r.accept(t, d)[0]
	require.True(t, again.Repeated, "%v", again.Problems)
	require.Equal(t, first.ID, again.ID)
	d.Reference = "C-0002"
	require.Equal(t, "conflict", r.accept(t, d)[0].Problems[0].Code)

	old, err := r.digest("mizu", message.ViaResend, &d, nil) // of a resend, before it had one of its own
	require.NoError(t, err)
	same, err := r.sameBody("mizu", message.ViaResend, &plan{draft: &d, resend: &Resend{Of: first.ID, Due: "2030-01-01"}}, old)
	require.NoError(t, err)
	require.True(t, same)
}

func TestTokenThatExistsIsMintedAgain(t *testing.T) {
	r := openRoom(t)
	res := r.accept(t, bill())[0]
	p := &plan{draft: &message.Draft{}, res: &Result{}, token: strings.TrimPrefix(res.URL, "https://s.example.jp/"), url: res.URL}
	require.True(t, r.lost(t.Context(), r.Tenants.Now().Tenants["mizu"], new(Request), p, &store.TakenError{Space: store.ByToken, Key: p.token}))
	require.NotEqual(t, res.URL, p.url)
	require.Len(t, p.url, len(res.URL))
}

func TestDryRunStoresNothing(t *testing.T) {
	r := openRoom(t)
	d := bill()
	d.Key = "k"
	d.Claim = &message.Claim{Number: "INV-3", Amount: 500, Due: "2020-01-01"}
	d.Identity = &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "19980101"}}}
	res, err := r.Accept(t.Context(), Request{Tenant: "mizu", Via: message.ViaFile, DryRun: true, Drafts: []message.Draft{d}})
	require.NoError(t, err)
	require.Empty(t, res[0].Problems)
	require.True(t, res[0].ID.IsZero())
	require.Equal(t, "past", res[0].Warnings[0].Code)
	p := res[0].Preview
	require.Equal(t, "〇〇水道局からのお知らせです。"+p.URL, p.Text)
	require.Equal(t, Length{Units: 48, Parts: 1, Alone: 70, Part: 67}, p.Length)
	require.Equal(t, []string{"docomo", "0312345678", "090-****-0001"}, []string{p.Carrier, p.Sender, p.Masked})
	for _, kind := range []store.Kind{store.Message, store.Claim} {
		count, err := r.Store.Count(t.Context(), tenant.Only("mizu"), store.Query{Kind: kind}, 10)
		require.NoError(t, err)
		require.Zero(t, count)
	}
	require.Empty(t, r.links.links)
}

func TestThousandsAreEnrolledAndCommittedInChunks(t *testing.T) {
	r := openRoom(t)
	drafts := make([]message.Draft, 1000)
	for i := range drafts {
		drafts[i] = bill()
		drafts[i].To = fmt.Sprintf("090000%d%04d", 1+i%3, i)
		drafts[i].Identity = &message.Identity{Items: []message.IdentityItem{{Field: "birth_date", Value: "19980101"}}}
	}
	started := time.Now()
	res, err := r.Accept(t.Context(), Request{Tenant: "mizu", Via: message.ViaFile, Campaign: ulid.Make(), Drafts: drafts})
	require.NoError(t, err)
	for i := range res {
		require.True(t, res[i].Accepted(), "%d %v %v", i, res[i].Problems, res[i].Err)
	}
	t.Logf("1,000 drafts with page and identity in %v", time.Since(started))
	require.Equal(t, 4, r.identity.calls)
	items, err := r.Store.Due(nil, "softbank/bulk", store.Cursor{}, time.Now().Add(time.Second), 1000)
	require.NoError(t, err)
	require.Len(t, items, 333)
}

func TestCodeGoesFirstWithoutALink(t *testing.T) {
	r := openRoom(t)
	msg := r.accept(t, bill())[0]
	id, err := r.SendCode(t.Context(), CodeRequest{Tenant: "mizu", To: "+819000010001", Text: "「1234」お客様の認証番号です。", ForMessage: msg.ID, By: "engine"})
	require.NoError(t, err)
	h := r.state(t, id).Head
	require.Equal(t, []any{message.OTP, message.LaneCode, message.ViaEngine, "otp", msg.ID, ""}, []any{h.Class, h.Lane, h.Via, h.Sender, h.For, h.URL})
	require.WithinDuration(t, time.Now().Add(5*time.Minute), h.ValidUntil, time.Minute)
	id, err = r.SendCode(t.Context(), CodeRequest{Tenant: "mizu", To: "+819000010001", Registered: "2024-05-05", Text: "「1234」お客様の認証番号です。", ForMessage: msg.ID, By: "engine"})
	require.NoError(t, err)
	plain, err := r.Store.Open("mizu", id.String()+"/sms", r.state(t, id).Head.SMS)
	require.NoError(t, err)
	require.Contains(t, string(plain), "2024-05-05", "a code is not for who got the number since")
	_, err = r.SendCode(t.Context(), CodeRequest{Tenant: "mizu", To: "+819000020001", Text: "1234", ForMessage: msg.ID})
	var problems message.Problems
	require.ErrorAs(t, err, &problems)
	require.Equal(t, "au", problems[0].Value)
}

func TestWindowThatNeverOpensIsRefused(t *testing.T) {
	jst := func(h, m int) time.Time { return time.Date(2026, 11, 22, h, m, 0, 0, message.Tokyo) }
	w := &message.Window{From: "09:00", To: "18:00"}
	require.True(t, opens(w, jst(8, 0), jst(9, 1)))
	require.True(t, opens(w, jst(17, 59), jst(18, 30)))
	require.False(t, opens(w, jst(8, 0), jst(9, 0)))
	require.False(t, opens(w, jst(18, 0), jst(23, 0)))
	require.True(t, opens(w, jst(18, 0), jst(18, 0).Add(24*time.Hour)))
}

func TestTokensAreEvenAndPlain(t *testing.T) {
	require.Len(t, alphabet, 57)
	seen := map[rune]int{}
	for range 2000 {
		token := make([]byte, 16)
		drawToken(token)
		require.Regexp(t, regexp.MustCompile(`^[^0O1lI]{16}$`), token)
		for _, c := range string(token) {
			seen[c]++
		}
	}
	require.Len(t, seen, 57)
	for c, n := range seen { // 32,000 draws: 561 each, deviation 23.5; 8 deviations
		require.InDelta(t, 561, n, 190, "%c", c)
	}
}

func TestUnknownTenant(t *testing.T) {
	r := openRoom(t)
	_, err := r.Accept(t.Context(), Request{Tenant: "nobody", Drafts: []message.Draft{bill()}})
	require.ErrorIs(t, err, ErrNoTenant)
}
