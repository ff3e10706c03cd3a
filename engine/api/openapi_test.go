package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api/internal/openapitest"
	"github.com/kakitome/kakitome/engine/email"
	"github.com/kakitome/kakitome/engine/store"
)

// TestDocumentSaysWhatTheHandlersDo asks for every path, method and status of openapi.json and checks each answer's body
// against its schema. A status that is described must be in the table, and one that is in the table must be described.
// What another room's handlers serve is checked beside them: extras.
func TestDocumentSaysWhatTheHandlersDo(t *testing.T) {
	doc := openapitest.Read(t, OpenAPI)
	r := openRoom(t, func(o *Options) { o.Config.MaxBody, o.Config.MaxBatchBody = 4096, 8192 })
	sent := r.send("mizu", bill)
	claimed := r.send("mizu", `{"to":"09000010002","text":"請求","claim":{"number":"INV-1","amount":100,"due":"2030-01-01"}}`)
	r.send("mizu", `{"to":"09000010003","text":"x","key":"k1"}`)
	plain := r.send("mizu", `{"to":"09000010004","text":"x"}`)
	require.NoError(t, r.Intake.Cancel(t.Context(), "mizu", mustULID(t, claimed.ID), "x"))
	submitted(t, r, plain.ID)
	long := `{"to":"` + strings.Repeat("0", 5000) + `"}`
	json415 := map[string]string{"Content-Type": "text/plain"}
	nd := map[string]string{"Content-Type": "application/x-ndjson"}
	down := func() { r.claims.fails = store.ErrClosed }

	type step struct {
		path, method, status string
		call                 call
		before               func()
	}
	post := func(path, status, body string, h map[string]string) step {
		return step{path, "post", status, call{method: "POST", path: path, body: body, header: h}, nil}
	}
	var steps []step
	for path, methods := range doc.Paths {
		if path == "/openapi.json" || !ours(path) {
			continue
		}
		for method := range methods { // the door is the same everywhere
			at := strings.NewReplacer("{id}", sent.ID, "{number}", "INV-1").Replace(path)
			steps = append(steps,
				step{path, method, "401", call{method: strings.ToUpper(method), path: at, header: map[string]string{"Authorization": "Bearer kk_x_y"}}, nil},
				step{path, method, "403", call{method: strings.ToUpper(method), path: at, header: map[string]string{"X-Forwarded-For": "198.51.100.1"}}, nil})
		}
	}
	message := func(status, id string) step {
		return step{"/v1/messages/{id}", "get", status, call{method: "GET", path: "/v1/messages/" + id}, nil}
	}
	remove := func(status, id string) step {
		return step{"/v1/messages/{id}", "delete", status, call{method: "DELETE", path: "/v1/messages/" + id}, nil}
	}
	claim := func(method, status, number, body string, h map[string]string) step {
		return step{"/v1/claims/{number}", strings.ToLower(method), status, call{method: method, path: "/v1/claims/" + number, body: body, header: h}, nil}
	}
	resend := func(status, id, body string, h map[string]string) step {
		return step{"/v1/messages/{id}:resend", "post", status, call{method: "POST", path: "/v1/messages/" + id + ":resend", body: body, header: h}, nil}
	}
	move := func(status, id, body string, h map[string]string) step {
		return step{"/v1/messages/{id}", "patch", status, call{method: "PATCH", path: "/v1/messages/" + id, body: body, header: h}, nil}
	}
	unlock := func(status, id string) step {
		path, query, _ := strings.Cut(id, "?")
		return step{"/v1/messages/{id}:unlock", "post", status, call{method: "POST", path: "/v1/messages/" + path + ":unlock?" + query}, nil}
	}
	readmit := func(status, id string) step {
		path, query, _ := strings.Cut(id, "?")
		return step{"/v1/messages/{id}:readmit", "post", status, call{method: "POST", path: "/v1/messages/" + path + ":readmit?" + query}, nil}
	}
	mailing := func(status, id, body string, fails error, h map[string]string) step {
		return step{"/v1/messages/{id}:mail", "post", status, call{method: "POST", path: "/v1/messages/" + id + ":mail", body: body, header: h}, func() { r.mails.err = fails }}
	}
	receipt := func(status, number string) step {
		return step{"/v1/claims/{number}/receipt.pdf", "get", status, call{method: "GET", path: "/v1/claims/" + number}, nil}
	}
	asking := r.send("mizu", `{"to":"09000010005","text":"x","page":{"title":"x"},"identity":{"items":[{"field":"birth_date","value":"19980101"}]}}`)
	r.mails.number = mustULID(t, asking.ID)
	ends := func(in time.Duration) string {
		return `{"link":{"expires_at":"` + time.Now().Add(in).Format(time.RFC3339) + `"}}`
	}
	pdf := map[string]string{"Content-Type": "application/pdf"}
	kept := r.do(call{method: "POST", path: "/v1/documents?name=a", body: minimalPDF, header: pdf})
	var file Document
	require.NoError(t, json.Unmarshal([]byte(kept.body), &file))
	shown := r.send("mizu", `{"to":"09000010005","text":"x","page":{"title":"x","documents":["a.pdf",{"id":"`+file.ID+`","title":"ご案内"}]}}`)
	of := func(method, status, id string) step {
		return step{"/v1/documents/{id}", strings.ToLower(method), status, call{method: method, path: "/v1/documents/" + id}, nil}
	}
	document := func(status, query, body string, h map[string]string) step {
		return step{"/v1/documents", "post", status, call{method: "POST", path: "/v1/documents" + query, body: body, header: h}, nil}
	}
	identity := `{"to":"09000010001","text":"x","page":{"title":"x"},"identity":{"items":[{"field":"birth_date","value":"19980101"}]}}`
	steps = append(steps,
		post("/v1/messages", "202", bill, nil),
		step{"/v1/messages", "post", "200", call{method: "POST", path: "/v1/messages?dry_run=true", body: bill}, nil},
		post("/v1/messages", "400", `{`, nil), post("/v1/messages", "409", `{"to":"09000010003","text":"y","key":"k1"}`, nil),
		post("/v1/messages", "413", long, nil), post("/v1/messages", "415", bill, json415), post("/v1/messages", "422", `{"to":"0312345678","text":""}`, nil),
		step{"/v1/messages", "get", "200", call{method: "GET", path: "/v1/messages?last4=0001&status=waiting"}, nil},
		step{"/v1/messages", "get", "400", call{method: "GET", path: "/v1/messages?number=09000010001"}, nil},
		post("/v1/messages:batch", "200", bill+"\n{\n"+bill, nd), post("/v1/messages:batch", "400", "\n", nd),
		post("/v1/messages:batch", "413", strings.Repeat(" ", 9000), nd), post("/v1/messages:batch", "415", bill, json415),
		post("/v1/messages:search", "200", `{"number":"090-0001-0001"}`, nil), post("/v1/messages:search", "400", `[`, nil),
		post("/v1/messages:search", "413", long, nil), post("/v1/messages:search", "415", "{}", json415), post("/v1/messages:search", "422", `{"status":"x"}`, nil),
		message("200", sent.ID), message("200", sent.No), message("200", claimed.ID), message("200", sent.ID+"?unmask=1"), message("400", sent.ID+"?x=1"), message("404", "nothing"),
		step{"/v1/messages/{id}", "get", "405", call{method: "PUT", path: "/v1/messages/" + sent.ID, body: "{}"}, nil},
		resend("202", sent.ID, `{"key":"again"}`, nil), resend("202", sent.No, "{}", map[string]string{"Idempotency-Key": "again"}), resend("400", sent.ID, "{", nil), resend("404", strings.Repeat("0", 17), "{}", nil), resend("404", "nothing", "{}", nil),
		resend("409", sent.ID, `{"text":"paid"}`, nil), resend("413", sent.ID, long, nil), resend("415", sent.ID, "{}", json415), resend("422", sent.ID, `{"template":"none"}`, nil),
		message("200", sent.ID+"?answers=1"),
		move("200", sent.ID, ends(50*time.Hour), nil), move("400", sent.ID, "{", nil), move("404", "nothing", ends(time.Hour), nil), move("404", strings.Repeat("0", 17), ends(time.Hour), nil), move("409", plain.ID, ends(time.Hour), nil),
		move("409", claimed.ID, ends(time.Hour), nil), move("413", sent.ID, long, nil), move("415", sent.ID, "{}", json415), move("422", sent.ID, "{}", nil), move("422", sent.ID, ends(-time.Hour), nil), move("422", sent.ID, ends(401*24*time.Hour), nil),
		unlock("204", asking.ID), unlock("204", asking.No), unlock("400", asking.ID+"?x=1"), unlock("404", "nothing"), unlock("409", sent.ID),
		readmit("204", asking.ID), readmit("204", asking.No), readmit("400", asking.ID+"?x=1"), readmit("404", "nothing"),
		mailing("202", asking.ID, "{}", nil, nil), mailing("202", asking.No, `{"address":"taro@example.jp","lang":"en"}`, nil, nil), mailing("400", asking.ID, "{", nil, nil), mailing("404", "nothing", "{}", nil, nil), mailing("404", sent.ID, "{}", nil, nil),
		mailing("409", asking.ID, "{}", email.ErrNoNumber, nil), mailing("409", asking.ID, "{}", email.ErrNoRelay, nil), mailing("413", asking.ID, long, nil, nil), mailing("415", asking.ID, "{}", nil, json415),
		mailing("422", asking.ID, `{"address":"x"}`, nil, nil), mailing("422", asking.ID, `{"lang":"fr"}`, nil, nil), mailing("429", asking.ID, "{}", email.ErrUsedUp, nil),
		receipt("409", "INV-1/receipt.pdf"), receipt("404", "INV-2/receipt.pdf"), receipt("404", "-/receipt.pdf"), receipt("400", "INV-1/receipt.pdf?x=1"),
		step{"/v1/claims/{number}/receipt.pdf", "get", "200", call{method: "GET", path: "/v1/claims/INV-1/receipt.pdf"}, func() { r.claims.receipted("INV-1") }}, receipt("404", "INV-1/receipt.pdf?number=9"),
		remove("204", sent.ID), remove("204", sent.ID), remove("400", sent.ID+"?x=1"), remove("404", strings.Repeat("0", 17)), remove("409", plain.ID),
		claim("GET", "200", "INV-1", "", nil), claim("GET", "404", "INV-2", "", nil), claim("GET", "400", "INV-1?x=1", "", nil),
		claim("PATCH", "200", "INV-1", `{"action":"amend","amount":200,"tax":18}`, nil), claim("PATCH", "400", "INV-1", `x`, nil), claim("PATCH", "404", "INV-2", `{"action":"settle"}`, nil),
		claim("PATCH", "413", "INV-1", long, nil), claim("PATCH", "415", "INV-1", "{}", json415), claim("PATCH", "422", "INV-1", `{"action":"amend"}`, nil), claim("PATCH", "422", "INV-1", `{"action":"settle","tax":1}`, nil), claim("PATCH", "422", "INV-1", `{"action":"amend","tax":-1}`, nil),
		claim("PATCH", "200", "INV-1", `{"action":"refund","attempt":"01M80PYPYK9JPV5YF8YH5F691F"}`, nil), claim("PATCH", "422", "INV-1", `{"action":"refund","attempt":"x"}`, nil), claim("PATCH", "422", "INV-1", `{"action":"settle","attempt":"01M80PYPYK9JPV5YF8YH5F691F"}`, nil),
		step{"/v1/claims:alerts", "get", "200", call{method: "GET", path: "/v1/claims:alerts"}, nil}, step{"/v1/claims:alerts", "get", "400", call{method: "GET", path: "/v1/claims:alerts?x=1"}, nil},
		claim("PATCH", "200", "INV-1", `{"action":"resolve","version":3}`, nil), claim("PATCH", "422", "INV-1", `{"action":"resolve","version":3,"amount":1}`, nil), claim("PATCH", "422", "INV-1", `{"action":"resolve"}`, nil), claim("PATCH", "422", "INV-1", `{"action":"settle","version":3}`, nil),
		claim("PATCH", "200", "INV-1", `{"action":"withdraw","reason":"誤請求"}`, nil), claim("PATCH", "409", "INV-1", `{"action":"settle"}`, nil),
		document("201", "?name=検針票&class=billing", minimalPDF, pdf), document("400", "?class=x", minimalPDF, pdf), document("413", "", strings.Repeat("x", 6<<20), pdf),
		step{"/v1/documents", "get", "200", call{method: "GET", path: "/v1/documents?limit=1"}, nil}, step{"/v1/documents", "get", "400", call{method: "GET", path: "/v1/documents?limit=0"}, nil},
		of("GET", "200", file.ID), of("GET", "400", file.ID+"?x=1"), of("GET", "404", "nothing"), of("DELETE", "400", file.ID+"?x=1"), of("DELETE", "404", "nothing"), of("DELETE", "409", file.ID),
		remove("204", shown.ID), of("DELETE", "204", file.ID), of("DELETE", "404", file.ID),
		document("415", "", minimalPDF, json415), document("422", "", "no PDF", pdf),
		step{"/openapi.json", "get", "200", call{method: "GET", path: "/openapi.json", header: map[string]string{"Authorization": ""}}, nil},
		step{"/openapi.json", "get", "405", call{method: "POST", path: "/openapi.json", body: "{}"}, nil},
		step{"/v1/messages", "post", "503", call{method: "POST", path: "/v1/messages", body: identity}, func() { r.identity.fails = fmt.Errorf("module is down") }},
		step{"/v1/claims/{number}", "get", "503", call{method: "GET", path: "/v1/claims/INV-1"}, down},
		step{"/v1/claims:alerts", "get", "503", call{method: "GET", path: "/v1/claims:alerts"}, down},
		step{"/v1/claims/{number}", "patch", "503", call{method: "PATCH", path: "/v1/claims/INV-1", body: `{"action":"settle"}`}, down},
		step{"/v1/messages", "post", "429", call{method: "POST", path: "/v1/messages", body: bill}, func() {
			slow := shop("mizu")
			slow.Policy.RatePerSec = 1
			require.NoError(t, r.Tenants.Apply(t.Context(), slow))
			for range 3 {
				r.do(call{method: "POST", path: "/v1/messages", body: bill})
			}
		}},
		resend("429", sent.ID, "{}", nil),
	)
	for _, s := range steps {
		if s.before != nil {
			s.before()
		}
		a := r.do(s.call)
		require.Equal(t, s.status, fmt.Sprint(a.status), "%s %s: %s", s.path, s.method, a.body)
		doc.Answered(s.path, s.method, s.status, a.header, a.body)
	}
	// The store's own limits cannot be provoked without harming it; these answers have one schema, checked above, and
	// their codes are checked in TestStoreFailuresHaveTheirStatus.
	require.Empty(t, doc.Unasked(ours, "429", "503", "507"))
	for _, e := range endpoints {
		for method := range e.methods {
			path := e.path
			if e.verb != "" {
				path += map[bool]string{true: "{number}", false: "{id}"}[e.path == "/v1/claims/"] + e.verb
			} else if strings.HasSuffix(path, "/") {
				path = map[string]string{"message": "/v1/messages/{id}", "claim": "/v1/claims/{number}", "document": "/v1/documents/{id}"}[e.name]
			}
			require.Contains(t, doc.Paths[path], strings.ToLower(method), "%s is routed but not described", path)
		}
	}
}

// What is not on disk is not done: whoever commits, an entry of the audit log at the least, may find the store busy, full or down.
func TestDocumentSaysWhereTheStoreMayRefuse(t *testing.T) {
	readers := []string{"/v1/messages:batch post", "/v1/messages:search post"} // a batch says it line by line
	recorded := []string{"/v1/agents/{name}/reconciliation", "/v1/agents/{name}/reconciliation.csv", "/v1/answers", "/v1/answers/export.csv", "/v1/answers/totals", "/v1/answers/{id}", "/v1/certificates/{id}",
		"/v1/claims/{number}/receipt.pdf", "/v1/do-not-send", "/v1/do-not-send/list.csv", "/v1/follow-up-lists/{list}", "/v1/follow-up-lists/{list}/calls.csv", "/v1/messages/{id}", "/v1/received", "/v1/received/{id}", "/v1/uploads/{id}/findings.csv"}
	var without []string
	for path, methods := range openapitest.Read(t, OpenAPI).Paths {
		for method, op := range methods {
			if method == "get" && !slices.Contains(recorded, path) || slices.Contains(readers, path+" "+method) {
				continue
			}
			for _, status := range []string{"429", "503", "507"} {
				if _, said := op.Responses[status]; !said {
					without = append(without, path+" "+method+" "+status)
				}
			}
		}
	}
	require.Empty(t, without)
}

// extras are the paths of other rooms that openapi.json describes; engine/api/uploads, callbacks, phones, certificates, followups, verifications, agents, sheets and answers test them.
var extras = []string{"/v1/uploads", "/v1/seeds", "/v1/callbacks", "/v1/received", "/v1/do-not-send", "/v1/certificates", "/v1/follow-ups", "/v1/follow-up-lists", "/v1/verifications", "/v1/agents", "/v1/payment-sheets", "/v1/answers"}

func ours(path string) bool {
	return !slices.ContainsFunc(extras, func(at string) bool { return path == at || strings.HasPrefix(path, at+"/") })
}

func TestDocumentedDraftsAreTaken(t *testing.T) {
	full := `{"key":"k","to":"090-0001-0001","class":"billing","text":"{url}","vars":{"a":"b"},"recipient":{"email":"taro@example.jp"},"sender":"default","reference":"r","send":true,"send_at":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `","window":{"from":"00:00","to":"23:59"},"valid_until":"` + time.Now().Add(26*time.Hour).Format(time.RFC3339) + `","link":{"expires_at":"` + time.Now().Add(50*time.Hour).Format(time.RFC3339) + `"},"identity":{"items":[{"field":"birth_date","value":"19980101","label":"生年月日","level":""}],"code":true},"page":{"title":"t","lead":"l","rows":[{"item":"a","value":"b"}],"closing":"c","addressee":"書留 太郎","period":"31年2～3月分","sheet_message":"s","contact":{"name":"n","phone":"p","hours":"h"},"notice_pdf":true,"survey":{"lead":"l","items":[{"title":"q","type":"radio","choices":["a","b"],"required":true}]},"invoice":{"number":"1","date":"2026-11-30","to":"山田","subject":"s","period":"11月分","due":"2030-01-01","lines":[{"date":"2026-11-01","name":"n","quantity":1,"unit":110,"amount":110,"tax_rate":10}],"taxes":[{"rate":10,"tax":10}],"pay_to":"b","remarks":"r"},"reading":{"customer":"1","name":"n","place":"p","from":"2026-10-01","to":"2026-10-31","read_on":"2026-11-01","next_on":"2026-12-01","values":[{"name":"水道","meter":"1","unit":"m3","previous":"638","current":"682","usage":"44"}],"months":[{"label":"9月","usage":"40"}],"lines":[{"name":"n","amount":1}],"amount":1,"tax":0,"remarks":"r"}},"claim":{"number":"1","amount":110,"tax":10,"tax_rate":0,"due":"2030-01-01","lines":[{"name":"n","quantity":1,"unit":110,"amount":110}],"methods":["konbini"],"payer":"山田","amend":false}}`
	openapitest.Read(t, OpenAPI).Valid("Draft", []byte(full))
	openRoom(t).send("mizu", full)
}
