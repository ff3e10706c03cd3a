package identity

import (
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestGuessOfAChain(t *testing.T) {
	answer := func(field string, oneIn uint64) message.Answer { return message.Answer{Field: field, OneIn: oneIn} }
	birth, name, phone, free := answer("birth_date", 15_000), answer("kana_name", 2_000), answer("phone", 1_000), answer("free", 0)
	digits := func(n int) *tenant.Tenant { return &tenant.Tenant{Policy: tenant.Policy{CodeDigits: n}} }
	students := &tenant.Tenant{Policy: tenant.Policy{BirthYears: 4}}
	for name, c := range map[string]struct {
		t       *tenant.Tenant
		answers []message.Answer
		code    bool
		want    Guess
		warns   bool
	}{
		"nothing":                        {digits(0), nil, false, Guess{OneIn: 1, Holding: 1}, true},
		"a code of 4 digits":             {digits(4), nil, true, Guess{OneIn: 666, Holding: 1}, true},
		"a code of 6 digits":             {digits(0), nil, true, Guess{OneIn: 66_666, Holding: 1}, false},
		"a birth date":                   {digits(0), []message.Answer{birth}, false, Guess{OneIn: 1_000, Holding: 1_000}, false},
		"a birth date of students":       {students, []message.Answer{birth}, false, Guess{OneIn: 97, Holding: 97}, true},
		"a postcode":                     {digits(0), []message.Answer{answer("postcode", 20)}, false, Guess{OneIn: 1, Holding: 1}, true},
		"a free question":                {digits(0), []message.Answer{free}, false, Guess{OneIn: 1, Holding: 1, Unknown: []string{"free"}}, true},
		"name, birth date, phone (S3)":   {digits(0), []message.Answer{name, birth, phone}, false, Guess{OneIn: 2_000_000_000, Holding: 2_000_000}, false},
		"the same and a code":            {digits(4), []message.Answer{name, birth, phone}, true, Guess{OneIn: 1_333_333_333_333, Holding: 2_000_000}, false},
		"birth date, question and code":  {digits(6), []message.Answer{birth, free, free}, true, Guess{OneIn: 66_666_666, Holding: 1_000, Unknown: []string{"free"}}, false},
		"more than anybody asks":         {digits(8), []message.Answer{name, birth, answer("passcode", 1e11)}, true, Guess{OneIn: 1e15, Holding: 1e15}, false},
		"a phone that they hold anyway":  {digits(0), []message.Answer{phone}, false, Guess{OneIn: 66, Holding: 1}, true},
		"a code that tells nothing more": {digits(8), []message.Answer{answer("postcode", 20)}, true, Guess{OneIn: 8_888_888, Holding: 1}, false},
	} {
		n := 0
		if c.code {
			n = c.t.Policy.Digits()
		}
		got := GuessOf(c.t, c.answers, n)
		require.Equal(t, c.want, got, name)
		require.Equal(t, c.warns, got.Warns(), name)
	}
}

// The module says it of the answer, else of the field; and it is not stored.
func TestEnrolledAnswersKnowHowHardTheyAre(t *testing.T) {
	b := setup(t)
	answers, problems, err := b.Enroll(t.Context(), water, []ulid.ULID{newID()}, [][]message.IdentityItem{{{Field: "birth_date", Value: "19980101"}, {Field: "postcode", Value: "1000001"}}})
	require.NoError(t, err)
	require.Empty(t, problems[0])
	require.Equal(t, []uint64{15_000, 20}, []uint64{answers[0][0].OneIn, answers[0][1].OneIn})
	stored := message.Encode(&message.Head{V: 1, Answers: answers[0]})
	var head message.Head
	require.NoError(t, message.Decode(stored, &head))
	require.Zero(t, head.Answers[0].OneIn)
}
