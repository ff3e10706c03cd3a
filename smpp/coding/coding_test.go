package coding

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	other "github.com/fiorix/go-smpp/smpp/encoding"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutext"
	"github.com/stretchr/testify/require"
)

func TestAlphabetIsChosenByTheText(t *testing.T) {
	for text, want := range map[string]Alphabet{
		"":                        GSM7,
		"Hello, 123 @£€{}[]~|^\\": GSM7,
		"お知らせ":                    UCS2,
		"ok ✓":                    UCS2,
		"`":                       UCS2, // not in GSM 7
		"ç":                       UCS2, // only the capital is
	} {
		require.Equal(t, want, Choose(text), text)
	}
}

func TestPartCounts(t *testing.T) {
	for _, c := range []struct {
		name  string
		text  string
		o     Options
		units int
		parts int
	}{
		{"empty", "", Options{}, 0, 1},
		{"70 kana", strings.Repeat("あ", 70), Options{}, 70, 1},
		{"71 kana", strings.Repeat("あ", 71), Options{}, 71, 2},
		{"134 kana", strings.Repeat("あ", 134), Options{}, 134, 2},
		{"135 kana", strings.Repeat("あ", 135), Options{}, 135, 3},
		{"670 kana", strings.Repeat("あ", 670), Options{}, 670, 10},
		{"671 kana", strings.Repeat("あ", 671), Options{}, 671, 11},
		{"132 kana wide", strings.Repeat("あ", 132), Options{Wide: true}, 132, 2},
		{"133 kana wide", strings.Repeat("あ", 133), Options{Wide: true}, 133, 3},
		{"35 emoji", strings.Repeat("😀", 35), Options{}, 70, 1},
		{"36 emoji", strings.Repeat("😀", 36), Options{}, 72, 2},
		{"67 emoji: 33 a part", strings.Repeat("😀", 67), Options{}, 134, 3},
		{"160 letters", strings.Repeat("a", 160), Options{}, 160, 1},
		{"161 letters", strings.Repeat("a", 161), Options{}, 161, 2},
		{"306 letters", strings.Repeat("a", 306), Options{}, 306, 2},
		{"307 letters", strings.Repeat("a", 307), Options{}, 307, 3},
		{"1530 letters", strings.Repeat("a", 1530), Options{}, 1530, 10},
		{"304 letters wide", strings.Repeat("a", 304), Options{Wide: true}, 304, 2},
		{"305 letters wide", strings.Repeat("a", 305), Options{Wide: true}, 305, 3},
		{"80 euros", strings.Repeat("€", 80), Options{}, 160, 1},
		{"153 euros: 76 a part", strings.Repeat("€", 153), Options{}, 306, 3},
		{"140 latin-1", strings.Repeat("ç", 140), Options{Alphabet: Latin1}, 140, 1},
		{"141 latin-1", strings.Repeat("ç", 141), Options{Alphabet: Latin1}, 141, 2},
		{"269 latin-1", strings.Repeat("ç", 269), Options{Alphabet: Latin1}, 269, 3},
		{"ascii as UCS-2", strings.Repeat("a", 71), Options{Alphabet: UCS2}, 71, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Measure(c.text, c.o)
			require.NoError(t, err)
			require.Equal(t, c.units, l.Units)
			require.Equal(t, c.parts, l.Parts)
			require.Len(t, requireJoins(t, c.text, c.o), c.parts)
		})
	}
}

// requireJoins cuts text and joins it again, as a phone would.
func requireJoins(t testing.TB, text string, o Options) []Segment {
	t.Helper()
	segments, err := Split(text, o)
	require.NoError(t, err)
	var joined strings.Builder
	for i, s := range segments {
		require.LessOrEqual(t, len(s.Data), 160)
		data := s.Data
		if len(segments) > 1 {
			require.EqualValues(t, 0x40, s.ESMClass())
			c, rest, err := ParseUDH(s.Data)
			require.NoError(t, err)
			want := Concat{Reference: o.Reference, Total: byte(len(segments)), Part: byte(i + 1), Wide: o.Wide}
			if !o.Wide {
				want.Reference &= 0xFF
			}
			require.Equal(t, want, c)
			data = rest
		} else {
			require.Zero(t, s.ESMClass())
		}
		part := Decode(s.Alphabet, data)
		require.NotContains(t, part, "\uFFFD", "cut inside a pair")
		joined.WriteString(part)
	}
	require.Equal(t, text, joined.String())
	return segments
}

func TestCutNeverFallsInsideAPair(t *testing.T) {
	for lead := range 8 {
		requireJoins(t, strings.Repeat("あ", lead)+strings.Repeat("𠮷", 200), Options{Reference: 0x1234})
		requireJoins(t, strings.Repeat("a", lead)+strings.Repeat("€", 400), Options{Reference: 0x1234, Wide: true})
	}
}

func TestTextThatCannotBeSentIsRefused(t *testing.T) {
	_, err := Split("abc\xffdef", Options{})
	require.ErrorIs(t, err, ErrInvalidUTF8)
	_, err = Append(nil, GSM7, "abcあ")
	var bad *RuneError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, RuneError{Alphabet: GSM7, Rune: 'あ', Offset: 3}, *bad)
	_, err = Append(nil, Latin1, "Ā")
	require.ErrorAs(t, err, &bad)
	_, err = Split(strings.Repeat("あ", 671), Options{MaxParts: 10})
	require.ErrorIs(t, err, ErrTooManyParts)
	_, err = Split(strings.Repeat("a", 153*255+1), Options{})
	require.ErrorIs(t, err, ErrTooManyParts)
	_, err = Measure("\uFFFD", Options{}) // a true U+FFFD is a character
	require.NoError(t, err)
}

func TestMeasureAllocatesNothing(t *testing.T) {
	text := strings.Repeat("〇〇水道局です。", 12)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = Measure(text, Options{}) }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = Split(text, Options{}) }), 2.0)
}

func TestDamagedHeadersAreErrors(t *testing.T) {
	for _, b := range [][]byte{
		{}, {5}, {5, 0, 3, 1, 2}, {5, 0, 9, 1, 2, 1}, {5, 0, 3, 1, 2, 0}, {5, 0, 3, 1, 2, 3},
	} {
		_, _, err := ParseUDH(b)
		require.ErrorIs(t, err, ErrUDH, "% x", b)
	}
	c, text, err := ParseUDH([]byte{6, 0x05, 4, 1, 2, 3, 4, 'x'}) // ports only
	require.NoError(t, err)
	require.Zero(t, c)
	require.Equal(t, "x", string(text))
}

// go-smpp's tables are the second opinion.
func TestSameBytesAsGoSMPP(t *testing.T) {
	var all strings.Builder
	for septet, r := range gsmBasic {
		if septet != escape {
			all.WriteRune(r)
		}
	}
	for _, r := range gsmExtension {
		all.WriteRune(r)
	}
	text := all.String()
	require.Empty(t, other.ValidateGSM7String(text))
	want, err := other.GSM7(false).NewEncoder().Bytes([]byte(text))
	require.NoError(t, err)
	got, err := Append(nil, GSM7, text)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, text, Decode(GSM7, got))

	for _, text := range []string{"お知らせ", "𠮷野家 😀", "ﾊﾝｶｸ ①②"} {
		got, err := Append(nil, UCS2, text)
		require.NoError(t, err)
		require.Equal(t, pdutext.UCS2(text).Encode(), got)
		require.Equal(t, text, Decode(UCS2, got))
	}
	for r := range rune(0xFFFF) {
		require.Equal(t, len(other.ValidateGSM7String(string(r))) == 0 && r != escape, gsmUnits(r) > 0, "%q", r)
	}
}

func TestBrokenBytesAreShownAsFarAsTheyCanBe(t *testing.T) {
	require.Equal(t, "あ\uFFFD", Decode(UCS2, []byte{0x30, 0x42, 0x30}))
	require.Equal(t, "\uFFFDあ", Decode(UCS2, []byte{0xD8, 0x3D, 0x30, 0x42}))
	require.Equal(t, "a\uFFFD", Decode(GSM7, []byte{'a', 0x80}))
	require.Equal(t, "a ", Decode(GSM7, []byte{'a', escape}))
	require.Equal(t, "é", Decode(Latin1, []byte{0xE9}))
}

func TestDataCodings(t *testing.T) {
	for _, a := range []Alphabet{GSM7, Latin1, UCS2, ShiftJIS, ISO2022JP} {
		got, ok := FromDataCoding(a.DataCoding())
		require.True(t, ok)
		require.Equal(t, a, got)
	}
	_, ok := FromDataCoding(0x04)
	require.False(t, ok)
	a, ok := FromDataCoding(0xF1)
	require.True(t, ok)
	require.Equal(t, GSM7, a)
}

func FuzzSplit(f *testing.F) {
	f.Add("お知らせ€{}😀", uint16(7), true)
	f.Add(strings.Repeat("€", 200), uint16(0), false)
	f.Fuzz(func(t *testing.T, text string, ref uint16, wide bool) {
		if !utf8.ValidString(text) || len(text) > 10_000 || strings.Contains(text, "\uFFFD") {
			return
		}
		requireJoins(t, text, Options{Reference: ref, Wide: wide})
	})
}

func FuzzParseUDH(f *testing.F) {
	f.Add([]byte{5, 0, 3, 1, 2, 1, 'x'})
	f.Add([]byte{6, 8, 4, 1, 2, 2, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, text, err := ParseUDH(b)
		if err == nil {
			require.True(t, bytes.HasSuffix(b, text))
			require.LessOrEqual(t, c.Part, c.Total)
		}
		for _, a := range []Alphabet{GSM7, Latin1, UCS2} {
			require.True(t, utf8.ValidString(Decode(a, b)))
		}
	})
}
