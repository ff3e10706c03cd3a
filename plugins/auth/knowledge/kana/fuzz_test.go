package kana

import "testing"

func FuzzCanonicalIsStable(f *testing.F) {
	for _, seed := range []string{"ヤマダ ハナコ", "ﾔﾏﾀﾞ", "ヤ ゛", "ヴ゛ァ", "サト- タロ-", "みすゞ", "A-1ー", "ヽヾー", "ガ゛", "㌀ヿゟ", "ー ゛-", "ヷヾ", "ケ\u200b゛"} {
		f.Add(seed, 2)
	}
	f.Fuzz(func(t *testing.T, name string, level int) {
		l := Level(uint(level)%3 + 1)
		once, err := Canonical(name, l)
		if err != nil {
			return
		}
		twice, err := Canonical(once, l)
		if err != nil && err != ErrTooLong || err == nil && twice != once {
			t.Fatalf("%q at level %d: %q, then %q (%v)", name, l, once, twice, err)
		}
	})
}
