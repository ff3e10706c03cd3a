package message

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// fill gives every field of a struct a value of its own, so that a field that the compact form forgets is missed.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Unix(int64(1_700_000_000+*n), int64(*n)).UTC()
		return
	case *ulid.ULID:
		x[15] = byte(*n)
		return
	case *[]byte:
		*x = fmt.Appendf(nil, "bytes %d", *n)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" { // not stored
				fill(t, v.Field(i), n)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"a": fmt.Sprint("text ", *n)}))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint32:
		v.SetUint(uint64(1<<31 + *n))
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("a field of type %s: say how it is filled", v.Type())
	}
}

func TestCompactFormKeepsEveryField(t *testing.T) {
	for _, make := range []func() record{func() record { return new(Head) }, func() record { return new(Submission) }, func() record { return new(Report) }, func() record { return new(SMS) }, func() record { return new(Content) }} {
		full, n := make(), 0
		fill(t, reflect.ValueOf(full).Elem(), &n)
		for _, want := range []record{full, make()} {
			data := Encode(want)
			require.EqualValues(t, recordVersion, data[0])
			got := make()
			require.NoError(t, Event{Data: data}.Decode(got))
			require.Equal(t, want, got)
			require.Equal(t, data, Encode(reflect.ValueOf(want).Elem().Interface()), "by value")

			text, err := json.Marshal(want)
			require.NoError(t, err)
			got = make()
			require.NoError(t, Event{Data: text}.Decode(got), "JSON")
			require.Equal(t, want, got)
			for cut := range data { // no panic; what is cut within a field is damaged
				_ = Event{Data: data[:cut]}.Decode(make())
			}
		}
	}
	require.ErrorIs(t, Event{Data: []byte{recordVersion, 0x3a, 1, 0}}.Decode(new(Head)), errRecord, "an id of one byte")
	require.ErrorIs(t, Event{Data: []byte{recordVersion, 0x12, 9, 'x'}}.Decode(new(Head)), errRecord)
	require.ErrorIs(t, Event{Data: []byte{2}}.Decode(new(Head)), errRecord, "a form of the future")
	require.NoError(t, Event{Data: []byte{recordVersion, 0xfa, 0x3f, 1, 'x'}}.Decode(new(Head)), "a field of the future")
}

func FuzzCompactForm(f *testing.F) {
	f.Add(Encode(Head{V: 1, No: "20261128000000001", Answers: []Answer{{Field: "birth_date", Hash: []byte("x")}}, Window: &Window{From: "9:00"}}))
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		var h Head
		if len(data) == 0 || data[0] != recordVersion || (Event{Data: data}).Decode(&h) != nil {
			return
		}
		var again Head
		require.NoError(t, Event{Data: Encode(&h)}.Decode(&again))
		require.Equal(t, Encode(&h), Encode(&again))
	})
}

func BenchmarkHead(b *testing.B) {
	h := Head{V: 1, No: "20261128000000001", Class: Billing, Via: ViaAPI, Lane: LaneBulk, By: "key:kaikei", Sender: "default", Carrier: "docomo",
		Parts: 1, Masked: "080-****-9008", Token: "a/SQND01grXy", URL: "https://kk.example.jp/a/SQND01grXy", LinkExpires: time.Now(), SMS: make([]byte, 200), Page: make([]byte, 1100)}
	text, err := json.Marshal(&h)
	require.NoError(b, err)
	for name, data := range map[string][]byte{"compact": Encode(&h), "json": text} {
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(float64(len(data)), "bytes")
			for b.Loop() {
				var h Head
				_ = Event{Data: data}.Decode(&h)
			}
		})
	}
	b.Run("encode/compact", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Encode(&h)
		}
	})
	b.Run("encode/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = json.Marshal(&h)
		}
	})
}

// TestCanonicalFormTellsDraftsApart changes every field of a draft in turn.
func TestCanonicalFormTellsDraftsApart(t *testing.T) {
	build := func() (*Draft, []reflect.Value) {
		d, n := new(Draft), 0
		fill(t, reflect.ValueOf(d).Elem(), &n)
		return d, leaves(reflect.ValueOf(d).Elem())
	}
	first, all := build()
	seen := map[string]int{string(first.AppendCanonical(nil)): -1}
	again, _ := build()
	require.Equal(t, first.AppendCanonical(nil), again.AppendCanonical(nil))
	again.Key = "another"
	require.Equal(t, first.AppendCanonical(nil), again.AppendCanonical(nil), "the key is no part of it")
	for i := range all {
		d, at := build()
		if at[i].Addr().Interface() == &d.Key {
			continue
		}
		at[i].SetZero()
		form := string(d.AppendCanonical(nil))
		other, twice := seen[form]
		require.False(t, twice, "leaf %d (%s) says as much as leaf %d", i, at[i].Type(), other)
		seen[form] = i
	}
}

// leaves are the fields that v is made of, and the pointers and lists on the way to them.
func leaves(v reflect.Value) (all []reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			all = append(all, leaves(v.Field(i))...)
		}
		return all
	case v.Kind() == reflect.Pointer:
		all = leaves(v.Elem())
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			all = append(all, leaves(v.Index(i))...)
		}
	}
	return append(all, v)
}

// TestHasLinkReadsTheHead: it agrees with the whole head, in the compact form and in JSON, and takes what it cannot read for a link.
func TestHasLinkReadsTheHead(t *testing.T) {
	for _, token := range []string{"", "a/SQND01gr"} {
		h := Head{V: 1, No: "20261122000000001", Class: Notice, Masked: "080-****-0000", Token: token, SMS: []byte("sealed")}
		require.Equal(t, token != "", HasLink(Encode(&h)))
		plain, err := json.Marshal(h)
		require.NoError(t, err)
		require.Equal(t, token != "", HasLink(plain))
		short := Encode(&h)[:8]
		require.True(t, HasLink(short))
	}
}
