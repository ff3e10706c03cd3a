package company

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/kakitome/kakitome/tools/till/fault"
	"github.com/kakitome/kakitome/tools/till/ledger"
	"github.com/kakitome/kakitome/tools/till/notice"
)

// input is a flat JSON object or a form, by name. Its zero value is an empty one.
type input struct {
	values map[string]string
	form   bool // a page of ours: answer with a redirect
}

// readInput refuses fields that are not among the names.
func readInput(w http.ResponseWriter, r *http.Request, names ...string) (input, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	in := input{values: map[string]string{}}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		in.form = true
		if err := r.ParseForm(); err != nil {
			return in, &ledger.Error{Code: ledger.CodeInvalid, Detail: "form: " + err.Error()}
		}
		for name := range r.PostForm {
			in.values[name] = r.PostForm.Get(name)
		}
	} else {
		var object map[string]any
		d := json.NewDecoder(r.Body)
		d.UseNumber()
		if err := d.Decode(&object); err != nil {
			return in, &ledger.Error{Code: ledger.CodeInvalid, Detail: "body: " + err.Error()}
		}
		for name, value := range object {
			switch value.(type) {
			case string, json.Number, bool:
				in.values[name] = fmt.Sprint(value)
			default:
				return in, &ledger.Error{Code: ledger.CodeInvalid, Field: name, Detail: name + ": want a string, number or true"}
			}
		}
	}
	for name := range in.values {
		if !slices.Contains(names, name) {
			return in, &ledger.Error{Code: ledger.CodeInvalid, Field: name, Detail: fmt.Sprintf("%s: unknown; want %v", name, names)}
		}
	}
	return in, nil
}

// reply sends v, or what became of it: to a page of ours the way on, which is given the refusal's code as "refused".
func (c *Company) reply(w http.ResponseWriter, r *http.Request, in input, way string, v any, err error) {
	var status int
	var refusal *ledger.Error
	if err != nil {
		status, refusal = c.refusal(err)
	}
	switch {
	case in.form:
		if refusal != nil {
			u, _ := url.Parse(way)
			q := u.Query()
			q.Del("done")
			q.Set("refused", refusal.Code)
			u.RawQuery = q.Encode()
			way = u.String()
		}
		http.Redirect(w, r, way, http.StatusSeeOther)
	case refusal != nil:
		answerError(w, status, refusal)
	default:
		answer(w, http.StatusOK, v)
	}
}

func (in input) scan() (ledger.Scan, error) {
	number, barcode := in.values["number"], in.values["barcode"]
	if (number == "") == (barcode == "") {
		return ledger.Scan{}, &ledger.Error{Code: ledger.CodeInvalid, Detail: "want either number or barcode"}
	}
	return ledger.Scan{Code: number + barcode, Confirmation: in.values["confirmation"], Store: in.values["store"],
		Institution: in.values["institution"], Payment: in.values["payment_id"]}, nil
}

// scanned are the fields of what comes in at a till.
var scanned = []string{"number", "barcode", "confirmation", "store", "institution", "payment_id"}

// look: {"number" or "barcode", "confirmation"?, "store"?, "institution"?} → the payment as it is; nothing is taken. Of a payer's
// number: {"payments"}, what is open.
func (c *Company) look(w http.ResponseWriter, r *http.Request) {
	in, err := readInput(w, r, scanned...)
	var rec ledger.Record
	if err == nil {
		var s ledger.Scan
		if s, err = in.scan(); err == nil {
			if bills, ok := c.books.Bills(s.Code); ok && s.Payment == "" {
				c.reply(w, r, in, "/till", map[string]any{"payments": append([]ledger.Record{}, bills...)}, nil)
				return
			}
			rec, err = c.books.Look(s, c.waive(false))
		}
	}
	c.reply(w, r, in, "/till", map[string]any{"payment": rec}, err)
}

// pay: the same input as look, and "payment_id" with a payer's number of several bills → 速報.
func (c *Company) pay(w http.ResponseWriter, r *http.Request) {
	in, err := readInput(w, r, scanned...)
	way := "/till"
	var rec ledger.Record
	if err == nil {
		var s ledger.Scan
		if s, err = in.scan(); err == nil {
			rec, err = c.books.Pay(s, c.waive(true))
			way = "/till?" + url.Values{"code": {s.Code}, "institution": {s.Institution}, "confirmation": {s.Confirmation}, "payment": {s.Payment}}.Encode()
		}
	}
	if err == nil {
		way = "/till?" + url.Values{"paid": {rec.PaymentID}}.Encode()
	}
	c.reply(w, r, in, way, map[string]any{"payment": rec}, err)
}

// taking reads which taking is meant: without "taking" the first that is open, or else the last.
func (c *Company) taking(in input) (id string, number int, err error) {
	id = in.values["payment_id"]
	if s := in.values["taking"]; s != "" {
		if number, err = strconv.Atoi(s); err != nil {
			return "", 0, &ledger.Error{Code: ledger.CodeInvalid, Field: "taking", Detail: "taking: want a number"}
		}
		return id, number, nil
	}
	rec, err := c.books.Payment(id)
	if err != nil {
		return "", 0, err
	}
	for _, t := range rec.Takings {
		if t.Open() {
			return id, t.Number, nil
		}
	}
	return id, len(rec.Takings), nil
}

// revoke: {"payment_id", "taking"?} → 速報取消.
func (c *Company) revoke(w http.ResponseWriter, r *http.Request) {
	in, err := readInput(w, r, "payment_id", "taking")
	var rec ledger.Record
	if err == nil {
		var id string
		var number int
		if id, number, err = c.taking(in); err == nil {
			rec, err = c.books.Revoke(id, number, c.waive(true))
		}
	}
	c.reply(w, r, in, "/till/list?done=revoked", map[string]any{"payment": rec}, err)
}

// confirmNow: {"payment_id", "taking"?} or {"all": true} → 確報, and how many.
func (c *Company) confirmNow(w http.ResponseWriter, r *http.Request) {
	in, err := readInput(w, r, "payment_id", "taking", "all")
	count := 0
	switch {
	case err != nil:
	case in.values["all"] == "true":
		count, err = c.books.ConfirmOlder(0)
	default:
		var id string
		var number int
		if id, number, err = c.taking(in); err == nil {
			_, err = c.books.Confirm(id, number)
			count = 1
		}
	}
	c.reply(w, r, in, "/till/list?done=confirmed", map[string]any{"confirmed": count}, err)
}

// payments: ?q= (part of an id or number) and ?limit= (1 to 1000, 100 by default), newest first.
func (c *Company) payments(w http.ResponseWriter, r *http.Request) {
	limit := 100
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			answerError(w, http.StatusBadRequest, &ledger.Error{Code: ledger.CodeInvalid, Field: "limit", Detail: "limit: want 1 to 1000"})
			return
		}
		limit = n
	}
	answer(w, http.StatusOK, map[string]any{"payments": c.books.Payments(r.FormValue("q"), limit)})
}

// notices: those that wait and the latest tries.
func (c *Company) notices(w http.ResponseWriter, r *http.Request) {
	waiting, tries := c.sender.Status()
	answer(w, http.StatusOK, map[string][]notice.Try{
		"waiting": append([]notice.Try{}, waiting...), "tries": append([]notice.Try{}, tries...),
	})
}

type faultJSON struct {
	Fault fault.Name `json:"fault"`
	Times int        `json:"times"`
	Delay string     `json:"delay,omitempty"`
}

func (c *Company) faultList() map[string][]faultJSON {
	var out []faultJSON
	for _, f := range c.faults.List() {
		j := faultJSON{Fault: f.Name, Times: f.Times}
		if f.Delay > 0 {
			j.Delay = f.Delay.String()
		}
		out = append(out, j)
	}
	return map[string][]faultJSON{"faults": out}
}

func (c *Company) listFaults(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, c.faultList())
}

// setFault: {"fault", "times", "delay"?} or {"clear": true} → all faults.
func (c *Company) setFault(w http.ResponseWriter, r *http.Request) {
	in, err := readInput(w, r, "fault", "times", "delay", "clear")
	if err == nil {
		err = c.arm(in)
	}
	c.reply(w, r, in, "/till/controls?done=fault", c.faultList(), err)
}

func (c *Company) arm(in input) error {
	defer c.sender.FaultsChanged()
	if in.values["clear"] == "true" {
		c.faults.Clear()
		return nil
	}
	f := fault.Setting{Name: fault.Name(in.values["fault"])}
	var err error
	if f.Times, err = strconv.Atoi(in.values["times"]); err != nil {
		return &ledger.Error{Code: ledger.CodeInvalid, Field: "times", Detail: "times: want a number"}
	}
	if s := in.values["delay"]; s != "" {
		if f.Delay, err = time.ParseDuration(s); err != nil {
			return &ledger.Error{Code: ledger.CodeInvalid, Field: "delay", Detail: "delay: want a duration such as 2s"}
		}
	}
	if err := c.faults.Arm(f); err != nil {
		return &ledger.Error{Code: ledger.CodeInvalid, Field: "fault", Detail: err.Error()}
	}
	return nil
}

func (c *Company) clockNow() map[string]string {
	now, ahead := c.books.Clock()
	return map[string]string{"now": now.Format(time.RFC3339Nano), "ahead": ahead.String()}
}

func (c *Company) clock(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, c.clockNow())
}

// maxAhead bounds the company's clock, so that dates stay those of slips.
const maxAhead = 10 * 366 * 24 * time.Hour

// setClock: {"advance": "24h"} or {"reset": true} → the company's clock.
func (c *Company) setClock(w http.ResponseWriter, r *http.Request) {
	in, err := readInput(w, r, "advance", "reset")
	if err == nil {
		err = c.moveClock(in)
	}
	c.reply(w, r, in, "/till/controls?done=clock", c.clockNow(), err)
}

func (c *Company) moveClock(in input) error {
	if in.values["reset"] == "true" {
		return c.books.SetClock(0)
	}
	by, err := time.ParseDuration(in.values["advance"])
	_, ahead := c.books.Clock()
	if err != nil || by <= 0 || ahead+by > maxAhead {
		return &ledger.Error{Code: ledger.CodeInvalid, Field: "advance", Detail: "advance: want a duration such as 24h, at most ten years in all"}
	}
	return c.books.SetClock(ahead + by)
}
