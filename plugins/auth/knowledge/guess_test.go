package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestLongAnswersAreHarderToGuess(t *testing.T) {
	for _, c := range []struct {
		field, value string
		want         uint64
	}{
		{"customer_number", "7", 1}, {"customer_number", "1234", 10}, {"customer_number", "C-778899", 1_000}, {"customer_number", "０１２３４５６７", 100_000},
		{"customer_number", "123456789012", 1_000_000}, {"customer_number", "ABC", 1},
		{"passcode", "1", 1}, {"passcode", "1234", 1_000}, {"passcode", "１２３４５６", 100_000}, {"passcode", "abcd", 45_697}, {"passcode", "aB3x", 1_477_633},
		{"passcode", "合言葉", 100}, {"passcode", "correct horse battery staple", 100_000_000_000},
		{"birth_date", "19980101", 0}, {"kana_name", "ヤマダ ハナコ", 0}, {"free", "ポチ", 0}, {"passcode", "", 0},
	} {
		form := ask(t, &proto.CanonicalItem{Field: c.field, Value: c.value})[0]
		require.Equal(t, c.want, form.OneIn, "%s %s", c.field, c.value)
	}
}
