package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/kakitome/kakitome/engine/intake"
	"github.com/kakitome/kakitome/engine/message"
)

func FuzzSplitLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), 10)
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaa\nb"), 3)
	f.Add(bytes.Repeat([]byte("x"), 70_000), 40_000)
	f.Add([]byte("\r\n\r\n"), 0)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		want := bytes.Split(data, []byte("\n"))
		next := 0
		for line, err := range splitLines(iotest.OneByteReader(bytes.NewReader(data)), limit) {
			if line.n <= next || line.n > len(want) {
				t.Fatalf("line %d after %d of %d", line.n, next, len(want))
			}
			next = line.n
			text := bytes.TrimSuffix(want[line.n-1], []byte("\r"))
			switch {
			case errors.Is(err, errLongLine):
				if len(text) <= limit {
					t.Fatalf("line %d of %d bytes is called too long", line.n, len(text))
				}
			case err != nil:
				t.Fatal(err)
			case !bytes.Equal(line.text, text) && !bytes.Equal(line.text, want[line.n-1]):
				t.Fatalf("line %d: %q is not %q", line.n, line.text, text)
			}
		}
		if end := len(want); next < end && len(want[end-1]) > 0 {
			t.Fatalf("the last line is missing: %d of %d", next, end)
		}
	})
}

// FuzzDecodeDraft holds the quick reader of drafts against encoding/json: what it takes is taken and means the same.
func FuzzDecodeDraft(f *testing.F) {
	f.Add([]byte(bill))
	f.Add([]byte(`{"send_at":"x","link":{"expires_at":5}}`))
	f.Add([]byte(`{"to":1}{}`))
	f.Add([]byte("{\"\\ud800\":1}"))
	f.Add([]byte(` { "key" : "k" , "to":"\u3042\uD83D\ude00\n\/","recipient":{"registered_on":"2024-05-05"},"class":"billing","template":"bill","vars":{"a":"b","":""},` +
		`"sender":"s","reference":"r","send":false,"send_at":"2026-11-22T09:00:00+09:00","window":{"from":"09:00","to":"10:00"},"valid_until":"2026-11-22T09:00:00.5Z",` +
		`"link":{"expires_at":"2026-12-22T09:00:00Z"},"identity":{"items":[{"field":"birth_date","label":"l","level":"x","value":"v"}],"code":true}}`))
	f.Add([]byte(`{"to":"1","page":{"title":"t","lead":"l","rows":[{"item":"i","value":"v"},{}],"closing":"c","contact":{"name":"n","phone":"p","hours":"h"},"documents":["d"],` +
		`"notice_pdf":true,"survey":{"lead":"l","items":[{"title":"t","type":"radio","choices":["a","b"],"required":true}]}},` +
		`"claim":{"number":"1","amount":-10,"tax":0,"due":"2026-11-22","lines":[{"name":"n","quantity":1,"unit":2,"amount":2}],"methods":[],"payer":"p","amend":true}}`))
	f.Add([]byte(`{"to":"1","to":"2"}`))
	f.Add([]byte(`{"TO":"1","claim":{"amount":1e3,"tax":null}}`))
	f.Add([]byte(`{"claim":{"amount":01}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d message.Draft
		code, ps := decode(data, &d)
		if (code == "") != (len(ps) == 0) {
			t.Fatalf("%q: %q with %v", data, code, ps)
		}
		for _, p := range ps {
			if p.Field == "" || len(p.Field) > 300 {
				t.Fatalf("%q: %v", data, p)
			}
		}
		if code == "" {
			d.Check()
		}
		var quick, strict message.Draft
		if !utf8.Valid(data) || !message.ParseDraft(string(data), &quick) {
			return
		}
		if code, ps := decodeStrictly(data, &strict); code != "" {
			t.Fatalf("%q: taken, but %q %v", data, code, ps)
		}
		if !reflect.DeepEqual(quick, strict) {
			t.Fatalf("%q: read as %+v, not %+v", data, quick, strict)
		}
	})
}

// TestQuickReaderKnowsEveryField: a field that is new in message.Draft is not left to the slow way.
func TestQuickReaderKnowsEveryField(t *testing.T) {
	var full message.Draft
	fillDraft(reflect.ValueOf(&full).Elem())
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var quick, strict message.Draft
	if !message.ParseDraft(string(text), &quick) {
		t.Fatalf("not taken: %s", text)
	}
	if code, ps := decodeStrictly(text, &strict); code != "" || !reflect.DeepEqual(quick, strict) {
		t.Fatalf("%s: %q %v", text, code, ps)
	}
}

func fillDraft(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_800_000_000, 5).UTC()))
			return
		}
		for i := range v.NumField() {
			fillDraft(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillDraft(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillDraft(v.Index(0))
		fillDraft(v.Index(1))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"名": "値", "b": ""}))
	case reflect.String:
		v.SetString("文\n\"<\U0001f600")
	case reflect.Int64:
		v.SetInt(-42)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func TestAcceptedIsWrittenAsJSON(t *testing.T) {
	for _, r := range []intake.Result{
		{No: "20261122000000001", Phase: message.Waiting},
		{No: "20261122000000001", Phase: message.LinkOnly, URL: "https://s.example.jp/a/x", Claim: &intake.Claim{Number: "C-1"}},
		{Phase: message.LinkOnly, URL: "https://s.例.jp/a?<&\"", Claim: &intake.Claim{}},
	} {
		r.ID[3] = 7
		want, err := json.Marshal(accepted("ja", &r))
		if err != nil {
			t.Fatal(err)
		}
		if got := appendAccepted(nil, &r); !bytes.Equal(got, want) {
			t.Fatalf("%s, not %s", got, want)
		}
	}
}
