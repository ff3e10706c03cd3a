package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/inbound/donotsend"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

// happen appends an event to a message.
func (r *room) happen(id tenant.ID, msg string, typ message.Type, data any) {
	r.t.Helper()
	errs, err := r.Store.Commit(r.t.Context(), store.Tx{{Ref: store.Ref{Tenant: id, Kind: store.Message, ID: ulid.MustParse(msg)}, Expect: store.Any, Events: []store.NewEvent{{Type: byte(typ), Data: message.Encode(data)}}}})
	require.NoError(r.t, err)
	require.NoError(r.t, errs[0])
}

func TestEndOfALinkIsChangedByAPI(t *testing.T) {
	r := openRoom(t)
	sent := r.send("mizu", bill)
	until := time.Now().Add(70 * 24 * time.Hour).UTC().Truncate(time.Second)
	body := `{"link":{"expires_at":"` + until.Format(time.RFC3339) + `"}}`
	require.Equal(t, 404, r.do(call{method: "PATCH", path: "/v1/messages/" + sent.ID, body: body, tenant: "gasu"}).status)
	a := r.do(call{method: "PATCH", path: "/v1/messages/" + sent.No, body: body})
	require.Equal(t, 200, a.status, "%s", a.body)
	var m Message
	a.into(t, &m)
	require.True(t, until.Equal(*m.LinkExpiresAt))
	last := m.Timeline[len(m.Timeline)-1]
	require.Equal(t, "link_moved", last.Event)
	require.Equal(t, map[string]string{"by": "key:erp", "until": until.Format(time.RFC3339)}, last.Detail)
}

func TestIdentificationIsUnlockedByAPI(t *testing.T) {
	r := openRoom(t)
	asking := r.send("mizu", `{"to":"09000010005","text":"x","page":{"title":"x"},"identity":{"items":[{"field":"birth_date","value":"19980101"}]}}`)
	path := "/v1/messages/" + asking.ID
	r.happen("mizu", asking.ID, message.Locked, message.Lock{Until: time.Now().Add(time.Hour)})
	var m Message
	r.do(call{method: "GET", path: path}).into(t, &m)
	require.NotNil(t, m.LockedUntil)
	require.Equal(t, 404, r.do(call{method: "POST", path: path + ":unlock", tenant: "gasu"}).status)
	require.Equal(t, 204, r.do(call{method: "POST", path: path + ":unlock"}).status)
	require.Equal(t, 204, r.do(call{method: "POST", path: path + ":unlock"}).status)
	m = Message{}
	r.do(call{method: "GET", path: path}).into(t, &m)
	require.Nil(t, m.LockedUntil)
	require.Len(t, m.Timeline, 3, "what is open stays as it is")
	require.Equal(t, map[string]string{"by": "key:erp"}, m.Timeline[2].Detail)
}

func TestWrongPersonIsTakenBackByAPI(t *testing.T) {
	r := openRoom(t)
	list := donotsend.New(r.Store)
	n, err := carrier.ParseNumber("090-0001-0005")
	require.NoError(t, err)
	listed := func() bool {
		no, err := list.Refuses(t.Context(), "mizu", message.Notice, n)
		require.NoError(t, err)
		return no
	}
	sent := r.send("mizu", `{"to":"09000010005","text":"x{url}","page":{"title":"x"}}`)
	path := "/v1/messages/" + sent.ID
	require.NoError(t, list.Disown(t.Context(), store.Ref{Tenant: "mizu", Kind: store.Message, ID: mustULID(t, sent.ID)}, time.Now()))
	var m Message
	r.do(call{method: "GET", path: path}).into(t, &m)
	require.NotNil(t, m.DisownedAt)
	require.True(t, listed())
	require.Equal(t, 404, r.do(call{method: "POST", path: path + ":readmit", tenant: "gasu"}).status)
	require.True(t, listed())
	for range 2 {
		require.Equal(t, 204, r.do(call{method: "POST", path: path + ":readmit"}).status)
		require.False(t, listed())
		m = Message{}
		r.do(call{method: "GET", path: path}).into(t, &m)
		require.Nil(t, m.DisownedAt)
		require.Len(t, m.Timeline, 3, "what is taken back stays so")
		require.Equal(t, map[string]string{"by": "key:erp"}, m.Timeline[2].Detail)
	}
}

func TestAlertsAreListedAndResolvedByAPI(t *testing.T) {
	r := openRoom(t)
	r.send("mizu", `{"to":"09000010002","text":"請求","claim":{"number":"INV-1","amount":100,"due":"2030-01-01"}}`)
	r.send("mizu", `{"to":"09000010002","text":"請求","claim":{"number":"INV-2","amount":100,"due":"2030-01-01"}}`)
	r.claims.alter("INV-2", func(c *Claim) { c.Alerts, c.Version = []string{"overpaid"}, 7 })
	list := func(id tenant.ID) string {
		a := r.do(call{method: "GET", path: "/v1/claims:alerts", tenant: id})
		require.Equal(t, 200, a.status)
		return string(a.body)
	}
	require.Contains(t, list("mizu"), `"alerts":["overpaid"],"version":7`)
	require.NotContains(t, list("mizu"), "INV-1")
	require.JSONEq(t, `{"claims":[]}`, list("gasu"))
	require.Equal(t, 200, r.do(call{method: "PATCH", path: "/v1/claims/INV-2", body: `{"action":"resolve","version":7}`}).status)
	require.JSONEq(t, `{"claims":[]}`, list("mizu"))
}

// What the console records of a person, the log has of a key, by its id: a name may come back.
func TestChangesByAPIAreAudited(t *testing.T) {
	r := openRoom(t)
	sent := r.send("mizu", `{"to":"09000010005","text":"x","page":{"title":"x"},"identity":{"items":[{"field":"birth_date","value":"19980101"}]},"claim":{"number":"INV-1","amount":100,"due":"2030-01-01"}}`)
	bare := r.send("mizu", `{"to":"09000010001","text":"x"}`)
	r.mails.number = ulid.MustParse(sent.ID)
	submitted(t, r, sent.ID)
	r.happen("mizu", sent.ID, message.Locked, message.Lock{Until: time.Now().Add(time.Hour)})
	require.NoError(t, donotsend.New(r.Store).Disown(t.Context(), store.Ref{Tenant: "mizu", Kind: store.Message, ID: ulid.MustParse(sent.ID)}, time.Now()))
	path := "/v1/messages/" + sent.ID
	until := time.Now().Add(70 * 24 * time.Hour)
	for _, c := range []struct {
		call
		want []string // action, target and detail; and once more
	}{
		{call{method: "PATCH", path: "/v1/claims/INV-1", body: `{"action":"amend","amount":90,"tax":9,"due":"2030-02-01","reason":"電話で確認"}`}, []string{"claim.amend", "INV-1", "amount=90 tax=9 due=2030-02-01 " + message.Mask("電話で確認")}},
		{call{method: "PATCH", path: "/v1/claims/INV-1", body: `{"action":"refund","amount":40,"key":"k"}`}, []string{"claim.refund", "INV-1", "amount=40"}},
		{call{method: "PATCH", path: "/v1/claims/INV-1", body: `{"action":"charge","card":"INV-0001","key":"k"}`}, []string{"claim.charge", "INV-1", "card=" + message.Mask("INV-0001")}},
		{call{method: "PATCH", path: "/v1/claims/INV-1", body: `{"action":"resolve","version":7,"reason":"返金済み"}`}, []string{"claim.resolve", "INV-1", message.Mask("返金済み")}},
		{call{method: "PATCH", path: path, body: `{"link":{"expires_at":"` + until.Format(time.RFC3339) + `"}}`}, []string{"message.expiry", sent.ID, until.In(message.Tokyo).Format("2006/01/02 15:04")}},
		{call{method: "POST", path: path + ":unlock"}, []string{"message.unlock", sent.ID, ""}},
		{call{method: "POST", path: path + ":readmit"}, []string{"message.readmit", sent.ID, ""}},
		{call{method: "POST", path: path + ":mail", body: `{"address":"taro@example.jp"}`}, []string{"message.mail", sent.ID, "t***@e***.jp"}},
		{call{method: "DELETE", path: path}, []string{"message.cancel", sent.ID, "", "message.revoke", sent.ID, ""}},
		{call{method: "DELETE", path: "/v1/messages/" + bare.ID}, []string{"message.cancel", bare.ID, ""}},
	} {
		before, err := r.audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
		require.NoError(t, err)
		a := r.do(c.call)
		require.Less(t, a.status, 300, "%s", a.body)
		after, err := r.audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
		require.NoError(t, err)
		var got []string
		for _, e := range after[:len(after)-len(before)] {
			require.NotEqual(t, "key:erp", e.By)
			require.True(t, strings.HasPrefix(e.By, "key:"))
			got = append([]string{e.Action, e.Target, e.Detail}, got...)
		}
		require.Equal(t, c.want, got)
	}
}

func TestAnswersAreGivenWhenAskedForAndRecorded(t *testing.T) {
	r := openRoom(t)
	sent := r.send("mizu", `{"to":"09000010005","text":"{url}","page":{"title":"x","survey":{"items":[{"title":"ご希望","type":"check","choices":["午前","午後"]},{"title":"ご要望","type":"text"}]}}}`)
	plain, err := json.Marshal(map[int][]string{0: {"午前", "午後"}})
	require.NoError(t, err)
	box, err := r.Store.Seal("mizu", "notice", time.Now(), sent.ID+"/answer", plain)
	require.NoError(t, err)
	get := func(query string, id tenant.ID) (m Message) {
		a := r.do(call{method: "GET", path: "/v1/messages/" + sent.ID + query, tenant: id})
		if a.status == 200 {
			a.into(t, &m)
		}
		return m
	}
	require.Nil(t, get("?answers=1", "mizu").Answers)
	r.happen("mizu", sent.ID, message.Answered, message.SurveyAnswer{Sealed: box})
	require.Nil(t, get("", "mizu").Answers)
	require.Empty(t, get("?answers=1", "gasu"))
	require.Equal(t, []SurveyAnswer{{"ご希望", "check", []string{"午前", "午後"}}, {"ご要望", "text", []string{}}}, get("?answers=1", "mizu").Answers)
	entries, err := r.audit.Day(t.Context(), tenant.Only("mizu"), "mizu", time.Now())
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "message.answers", entries[0].Action)
}

func TestReceiptIsGivenByAPI(t *testing.T) {
	r := openRoom(t)
	r.send("mizu", `{"to":"09000010002","text":"請求","claim":{"number":"INV-1","amount":100,"due":"2030-01-01"}}`)
	get := func(id tenant.ID) answer {
		return r.do(call{method: "GET", path: "/v1/claims/INV-1/receipt.pdf", tenant: id})
	}
	require.Equal(t, 409, get("mizu").status)
	require.Contains(t, string(get("mizu").body), "入金が確定（確報）するまで")
	r.claims.receipted("INV-1")
	a := get("mizu")
	require.Equal(t, 200, a.status)
	require.Equal(t, "application/pdf", a.header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="receipt-000000000001.pdf"`, a.header.Get("Content-Disposition"))
	require.Equal(t, minimalPDF+"ja"+"key:erp", string(a.body))
	require.Equal(t, 404, get("gasu").status)
}
