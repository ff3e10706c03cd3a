package identity

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

var taro = Person{Name: "ヤマダ　タロウ", Birth: "19980101", Phone: ownNumber}

// person reads a form of the shared entry.
func (b *bench) person(t *tenant.Tenant, form map[string]string) (Asked, Result) {
	b.t.Helper()
	who, r, _, err := b.EntryPerson(b.t.Context(), t, func(name string) string { return form[name] })
	require.NoError(b.t, err)
	return who, r
}

func formOf(p Person) map[string]string {
	return map[string]string{"kana_name": p.Name, "birth_date": p.Birth, "phone": p.Phone}
}

func TestPersonIsFoundHoweverTheNameIsTyped(t *testing.T) {
	b := setup(t)
	split := &tenant.Tenant{ID: "water", Policy: tenant.Policy{SplitName: true}}
	keys, err := b.EntryKeys(t.Context(), water, []Person{taro, {Name: "漢字", Birth: "19980101", Phone: ownNumber}, {Name: "ヤマダ", Birth: "1998", Phone: ownNumber}, taro})
	require.NoError(t, err)
	require.Len(t, keys[0], 16)
	require.Equal(t, keys[0], keys[3])
	require.Equal(t, []string{"", ""}, keys[1:3], "what cannot be read is found by nobody")
	for _, form := range []map[string]string{
		formOf(taro),
		{"kana_name": "ﾔﾏﾀﾞﾀﾛｳ", "birth_date": " 19980101", "phone": ownNumber},
		{"kana_name.1": "やまだ", "kana_name.2": "たろう", "birth_date": "19980101", "phone": ownNumber},
	} {
		who, r := b.person(split, form)
		require.Equal(t, NeedCode, r)
		require.Equal(t, keys[0], who.Key)
	}
	for _, form := range []map[string]string{{"kana_name": "ヤマダタロウ"}, {}, {"kana_name": " ", "birth_date": "19980101", "phone": ownNumber}} {
		_, r := b.person(water, form)
		require.Equal(t, Incomplete, r)
	}
	_, r := b.person(water, map[string]string{"kana_name": "山田", "birth_date": "1998", "phone": ownNumber})
	require.Equal(t, Unreadable, r)
	for _, other := range []Person{{"ヤマダジロウ", taro.Birth, taro.Phone}, {taro.Name, "19980102", taro.Phone}, {taro.Name, taro.Birth, "+818012349009"}} {
		who, _ := b.person(water, formOf(other))
		require.NotEqual(t, keys[0], who.Key)
	}
	who, _ := b.person(&tenant.Tenant{ID: "gas"}, formOf(taro))
	require.NotEqual(t, keys[0], who.Key, "tenants are apart")

	b.module.down = true
	_, err = b.EntryKeys(t.Context(), water, []Person{taro})
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = b.EntryAsk(t.Context(), water, who, "ja")
	require.ErrorIs(t, err, ErrUnavailable, "whoever is asked for")
	require.ErrorIs(t, b.MakesCodes(t.Context(), water, "ja"), ErrUnavailable)
}

func TestMessagesAreFoundByNameAndBirthDateAlone(t *testing.T) {
	name, birth, phone := message.IdentityItem{Field: "kana_name", Value: "ヤマダ"}, message.IdentityItem{Field: "birth_date", Value: "19980101"}, message.IdentityItem{Field: "phone", Value: "08012349008"}
	strict := name
	strict.Level = "L1"
	for _, c := range []struct {
		items []message.IdentityItem
		level string
		want  bool
	}{
		{[]message.IdentityItem{name, birth}, "", true},
		{[]message.IdentityItem{birth, phone, name}, "", true},
		{[]message.IdentityItem{name}, "", false},
		{[]message.IdentityItem{birth, phone}, "", false},
		{[]message.IdentityItem{name, birth, {Field: "customer_number", Value: "1"}}, "", false},
		{[]message.IdentityItem{strict, birth}, "", false},
		{[]message.IdentityItem{strict, birth}, "L1", true},
		{nil, "", false},
	} {
		_, ok := FindableBy(&tenant.Tenant{Policy: tenant.Policy{KanaLevel: c.level}}, c.items)
		require.Equal(t, c.want, ok, "%v", c)
	}
}

func TestCodeOfTheSharedEntryIsOneOfItsMessage(t *testing.T) {
	b := setup(t)
	ref := b.message([]message.IdentityItem{{Field: "kana_name", Value: taro.Name}, {Field: "birth_date", Value: taro.Birth}}, true)
	who, _ := b.person(water, formOf(taro))
	ask := func(found *store.Ref, session int) {
		t.Helper()
		r, err := b.EntryAsk(t.Context(), water, who, "ja")
		require.NoError(t, err)
		require.Equal(t, NeedCode, r)
		b.EntrySend(t.Context(), water, found, Asking{Session: session, Asked: true, Lang: "ja"})
	}
	code := func(found *store.Ref, typed string) Result {
		t.Helper()
		r, err := b.EntryCode(t.Context(), water, found, typed)
		require.NoError(t, err)
		return r
	}
	ask(nil, 0)
	require.Empty(t, b.out.sent)
	ask(&ref, 0)
	require.Equal(t, ownNumber, b.out.sent[0].To)
	require.Equal(t, ref.ID, b.out.sent[0].For)
	for _, found := range []*store.Ref{nil, &ref} {
		require.Equal(t, Incomplete, code(found, " "))
		require.Equal(t, Unreadable, code(found, "abc"))
		before, _ := b.commits()
		require.Equal(t, Mismatch, code(found, "999999"))
		after, _ := b.commits()
		require.Equal(t, before+1, after, "a wrong code waits for its turn at the store, whoever was found")
	}
	require.Equal(t, Mismatch, code(nil, b.last()), "of nobody none is right")
	live := b.sent(0)
	require.Equal(t, Passed, code(&ref, live))
	require.Equal(t, Mismatch, code(&ref, live), "it is right once")
	s := b.state(ref)
	require.True(t, s.IdentifiedAt.IsZero(), "it was not opened yet")
	require.Zero(t, s.CodeFailures-1, "the second was a wrong one")

	// A fault tells nobody apart.
	b.out.fails = message.Problems{{Field: "to", Code: "unknown_carrier"}}
	b.now = b.now.Add(time.Minute)
	ask(&ref, 1)
	gone := store.Ref{Tenant: water.ID, Kind: store.Message, ID: newID()}
	ask(&gone, 0)
	require.Equal(t, Mismatch, code(&gone, live))
	b.out.fails = nil

	// Five wrong ones close it for the link as well.
	for range MaxTries {
		require.Equal(t, Mismatch, code(&ref, "999999"))
	}
	s = b.state(ref)
	require.True(t, s.CodeLockedAt(b.now))
	sent := len(b.out.sent)
	b.now = b.now.Add(time.Minute)
	ask(&ref, 0)
	b.EntrySend(t.Context(), water, &ref, Asking{Session: 1, Lang: "ja"})
	require.Len(t, b.out.sent, sent)
	require.NoError(t, b.Unlock(t.Context(), ref, "user:tanto"))
	ask(&ref, 0)
	require.Equal(t, Passed, code(&ref, b.sent(sent)))
}

// sent is the code of the i-th SMS.
func (b *bench) sent(i int) string {
	b.t.Helper()
	var code string
	_, err := fmt.Sscanf(b.out.sent[i].Text, "「%6s」", &code)
	require.NoError(b.t, err)
	return code
}

func TestNumberIsAskedForSoOften(t *testing.T) {
	b := setup(t)
	who, _ := b.person(water, formOf(taro))
	who.Source = "192.0.2.1/32"
	other, _ := b.person(water, formOf(Person{taro.Name, taro.Birth, "+818012349009"}))
	ask := func(w Asked) Result {
		t.Helper()
		r, err := b.EntryAsk(t.Context(), water, w, "ja")
		require.NoError(t, err)
		return r
	}
	count := func(n int) (got int) {
		for range n {
			if ask(who) == NeedCode {
				got++
			}
		}
		return got
	}
	require.Equal(t, asksHour, count(asksHour+3))
	require.Equal(t, NeedCode, ask(other))
	owner := who
	owner.Source = "198.51.100.7/32"
	require.Equal(t, NeedCode, ask(owner), "whoever knows the number shuts out nobody elsewhere")
	b.now = b.now.Add(time.Hour)
	require.Equal(t, asksDay-asksHour, count(asksHour+3))
	b.now = b.now.Add(time.Hour)
	require.Zero(t, count(1))
	b.now = b.now.Add(24 * time.Hour)
	require.Equal(t, NeedCode, ask(who))

	total := 1
	for i := range asksTotal {
		who.Source = fmt.Sprintf("2001:db8:0:%x::/64", i/asksHour)
		total += count(1)
	}
	require.Equal(t, asksTotal, total)
}

func TestCountsOfAsksAreBounded(t *testing.T) {
	var a asks
	now := time.Now()
	for i := range manyAsked/2 + 1000 {
		a.over(fmt.Sprint(i), "source", now)
	}
	require.Len(t, a.made, manyAsked)
	for range 5 * asksDay {
		a.over("x", "source", now.Add(48*time.Hour))
		now = now.Add(time.Hour)
	}
	require.LessOrEqual(t, len(a.made[asker{"x", "source"}]), asksDay)
	require.LessOrEqual(t, len(a.made[asker{"x", "all"}]), asksTotal)
}
