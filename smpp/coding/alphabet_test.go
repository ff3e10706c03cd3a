package coding

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	other "github.com/fiorix/go-smpp/smpp/encoding"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/smpp/pdu"
)

var alphabets = []Alphabet{GSM7, GSM7Packed, Latin1, UCS2, ShiftJIS, ISO2022JP}

// repertoire returns characters that a can write.
func repertoire(a Alphabet) []rune {
	var all []rune
	for r := rune(1); r < 0x1F700; r++ {
		units, _ := pen{alphabet: a}.cost(r)
		if units > 0 && utf8.ValidRune(r) && r != utf8.RuneError {
			all = append(all, r)
		}
	}
	return all
}

// Any text in any alphabet and join comes back whole, in as many parts as
// Measure said, each within the limit.
func TestAnyTextIsJoinedAgain(t *testing.T) {
	runes := map[Alphabet][]rune{}
	for _, a := range alphabets {
		runes[a] = repertoire(a)
		require.Greater(t, len(runes[a]), 120, a.String())
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(alphabets).Draw(t, "alphabet")
		o := Options{
			Alphabet: a, Reference: rapid.Uint16().Draw(t, "reference"), Wide: rapid.Bool().Draw(t, "wide"),
			Join: rapid.SampledFrom([]Join{ByUDH, BySAR, ByPayload}).Draw(t, "join"),
		}
		text := string(rapid.SliceOfN(rapid.SampledFrom(runes[a]), 0, 700).Draw(t, "text"))
		l, err := Measure(text, o)
		require.NoError(t, err)
		segments, err := Split(text, o)
		require.NoError(t, err)
		if o.Join == ByPayload {
			require.Len(t, segments, 1)
		} else {
			require.Len(t, segments, l.Parts)
		}
		var joined strings.Builder
		for i, s := range segments {
			var p pdu.SM
			require.NoError(t, s.Put(&p))
			require.Equal(t, a.DataCoding(), p.DataCoding)
			_, err := p.AppendBody(nil)
			require.NoError(t, err, "fits one PDU")
			data := p.Text()
			switch {
			case l.Parts == 1:
				require.Zero(t, p.ESMClass)
				require.Empty(t, p.TLVs)
			case o.Join == ByUDH:
				require.EqualValues(t, pdu.ESMClassUDHI, p.ESMClass)
				c, rest, err := ParseUDH(data)
				require.NoError(t, err)
				require.EqualValues(t, i+1, c.Part)
				require.EqualValues(t, l.Parts, c.Total)
				data = rest
			case o.Join == BySAR:
				require.Zero(t, p.ESMClass)
				ref, _ := p.TLVs.Uint(pdu.TagSARMsgRefNum)
				total, _ := p.TLVs.Uint(pdu.TagSARTotalSegments)
				part, _ := p.TLVs.Uint(pdu.TagSARSegmentSeqnum)
				require.Equal(t, []uint32{uint32(o.Reference), uint32(l.Parts), uint32(i + 1)}, []uint32{ref, total, part})
			default:
				require.Empty(t, p.ShortMessage)
			}
			if o.Join != ByPayload {
				limit := 140
				if a == GSM7 {
					limit = 160
				}
				require.LessOrEqual(t, len(s.Data), limit)
			}
			got := DecodeBehind(a, s.UDH, data)
			require.NotContains(t, got, "\uFFFD", "cut inside a character")
			joined.WriteString(got)
		}
		require.Equal(t, text, joined.String())
	})
}

func TestJapaneseAlphabetsAreThoseOfXText(t *testing.T) {
	for a, e := range map[Alphabet]encoding.Encoding{ShiftJIS: japanese.ShiftJIS, ISO2022JP: japanese.ISO2022JP} {
		for _, text := range []string{"お知らせ", "ABC東京ｱｲｳ123", "ｶﾅ漢字ｶﾅ", "~\\", "①㈱髙", strings.Repeat("あa", 200)} {
			want, err := e.NewEncoder().Bytes([]byte(text))
			require.NoError(t, err)
			got, err := Append([]byte("x"), a, text)
			require.NoError(t, err)
			require.Equal(t, "x"+string(want), string(got), "%v %q", a, text)
			require.Equal(t, text, Decode(a, want))
		}
		for _, text := range []string{"😀", "𠮷", "ñ", "한"} {
			_, err := Append(nil, a, text)
			var bad *RuneError
			require.ErrorAs(t, err, &bad, "%v %q", a, text)
		}
		require.Equal(t, "あ\uFFFD", Decode(a, append(must(t, a, "あ"), 0xFF)))
	}
	_, err := Append(nil, ISO2022JP, "a\x1b(Ib") // would change the alphabet
	require.Error(t, err)
	_, err = Split("\xff", Options{Alphabet: ISO2022JP})
	require.ErrorIs(t, err, ErrInvalidUTF8)
}

func must(t testing.TB, a Alphabet, text string) []byte {
	t.Helper()
	b, err := Append(nil, a, text)
	require.NoError(t, err)
	return b
}

// 3GPP TS 23.038 packs "hellohello" into these bytes; go-smpp does the same
// but for the filler, which it does not write.
func TestSeptetsArePacked(t *testing.T) {
	require.Equal(t, "e8329bfd4697d9ec37", fmt.Sprintf("%x", must(t, GSM7Packed, "hellohello")))
	require.Equal(t, "31d98c56b3dd1a", fmt.Sprintf("%x", must(t, GSM7Packed, "1234567")), "filled up")
	for n := range 40 {
		text := strings.Repeat("a€{@", 10)[:n]
		if !utf8.ValidString(text) {
			continue
		}
		got := must(t, GSM7Packed, text)
		require.Equal(t, text, Decode(GSM7Packed, got), "%d", n)
		if len(must(t, GSM7, text))%8 == 7 {
			continue
		}
		want, err := other.GSM7(true).NewEncoder().Bytes([]byte(text))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%q", text)
	}
	_, err := Append(nil, GSM7Packed, "a\r")
	var bad *RuneError
	require.ErrorAs(t, err, &bad)
	// 160 septets are 140 bytes, and so are 153 behind a header of six bytes.
	require.Len(t, must(t, GSM7Packed, strings.Repeat("a", 160)), 140)
	segments, err := Split(strings.Repeat("a", 306), Options{Alphabet: GSM7Packed})
	require.NoError(t, err)
	require.Len(t, segments, 2)
	require.Len(t, segments[0].Data, 140)
}

func TestPartCountsOfTheOtherAlphabetsAndJoins(t *testing.T) {
	repeat := strings.Repeat
	for _, c := range []struct {
		text  string
		o     Options
		units int
		parts int
	}{
		{repeat("a", 160), Options{Alphabet: GSM7Packed}, 160, 1},
		{repeat("a", 161), Options{Alphabet: GSM7Packed}, 161, 2},
		{repeat("a", 306), Options{Alphabet: GSM7Packed}, 306, 2},
		{repeat("a", 307), Options{Alphabet: GSM7Packed}, 307, 3},
		{repeat("a", 305), Options{Alphabet: GSM7Packed, Wide: true}, 305, 3},
		{repeat("漢", 70), Options{Alphabet: ShiftJIS}, 140, 1},
		{repeat("漢", 71), Options{Alphabet: ShiftJIS}, 142, 2},
		{repeat("漢", 134), Options{Alphabet: ShiftJIS}, 268, 2},
		{repeat("漢", 135), Options{Alphabet: ShiftJIS}, 270, 3},
		{"a" + repeat("漢", 133), Options{Alphabet: ShiftJIS}, 267, 2},
		{"a" + repeat("漢", 133) + "b", Options{Alphabet: ShiftJIS}, 268, 3}, // 1+132, 134, 1: a kanji is not cut
		{repeat("漢", 133), Options{Alphabet: ShiftJIS, Wide: true}, 266, 3},
		{repeat("ｶ", 140), Options{Alphabet: ShiftJIS}, 140, 1},
		{repeat("a", 140), Options{Alphabet: ISO2022JP}, 140, 1},
		{repeat("漢", 67), Options{Alphabet: ISO2022JP}, 140, 1}, // two escapes of three bytes
		{repeat("漢", 68), Options{Alphabet: ISO2022JP}, 142, 2},
		{repeat("漢", 128), Options{Alphabet: ISO2022JP}, 262, 2}, // 64 a part
		{repeat("漢", 129), Options{Alphabet: ISO2022JP}, 264, 3},
		{repeat("漢a", 15), Options{Alphabet: ISO2022JP}, 135, 1}, // nine bytes for each pair
		{repeat("漢", 71), Options{Alphabet: UCS2, Join: BySAR}, 71, 2},
		{repeat("漢", 134), Options{Alphabet: UCS2, Join: BySAR}, 134, 2},
		{repeat("漢", 133), Options{Alphabet: UCS2, Join: BySAR, Wide: true}, 133, 3},
		{repeat("漢", 134), Options{Alphabet: UCS2, Join: ByPayload}, 134, 2},
		{repeat("漢", 70), Options{Alphabet: UCS2, Join: ByPayload}, 70, 1},
		{repeat("😀", 67), Options{Join: BySAR}, 134, 3},
		{repeat("€", 153), Options{Join: ByPayload}, 306, 3},
	} {
		name := fmt.Sprintf("%v/%d/%d units", c.o.Alphabet, c.o.Join, c.units)
		l, err := Measure(c.text, c.o)
		require.NoError(t, err, name)
		require.Equal(t, c.units, l.Units, name)
		require.Equal(t, c.parts, l.Parts, name)
	}
	_, err := Split(repeat("漢", 135), Options{Alphabet: ShiftJIS, MaxParts: 2, Join: ByPayload})
	require.ErrorIs(t, err, ErrTooManyParts, "the carrier bills what it cuts")
}

func TestMeasureOfJapaneseAllocatesNothing(t *testing.T) {
	text := strings.Repeat("〇〇水道局です。", 12)
	for _, a := range []Alphabet{ShiftJIS, ISO2022JP} {
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = Measure(text, Options{Alphabet: a}) }))
	}
}

func FuzzDecode(f *testing.F) {
	for _, a := range alphabets {
		f.Add(byte(a), byte(0), []byte("\x1b$B4A;z\x1b(B"))
		f.Add(byte(a), byte(6), []byte{0x8a, 0xbf, 0x83})
	}
	f.Fuzz(func(t *testing.T, a, header byte, b []byte) {
		text := DecodeBehind(Alphabet(a%8), int(header), b)
		require.True(t, utf8.ValidString(text))
	})
}
