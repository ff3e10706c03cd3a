package campaign

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

const waterBill = "電話番号,本文,タイトル,認証：氏名カナ\r\n090-0001-0001,\"〇〇県水道局です。\r\n①㈱髙﨑～－ {url}\",お知らせ,ｽｲﾄﾞｳ ﾀﾛｳ\r\n"

func encoded(t testing.TB, e Encoding, bom bool, text string) []byte {
	t.Helper()
	var b []byte
	var err error
	switch e {
	case CP932:
		b, err = japanese.ShiftJIS.NewEncoder().Bytes([]byte(text))
	case UTF16LE, UTF16BE:
		policy, endian := unicode.IgnoreBOM, unicode.LittleEndian
		if bom {
			policy = unicode.UseBOM
		}
		if e == UTF16BE {
			endian = unicode.BigEndian
		}
		b, err = unicode.UTF16(endian, policy).NewEncoder().Bytes([]byte(text))
	default:
		if b = []byte(text); bom {
			b = append([]byte("\ufeff"), b...)
		}
	}
	require.NoError(t, err)
	return b
}

func detect(b []byte, size int) Encoding {
	s := &sniffer{}
	for len(b) > 0 {
		n := min(size, len(b))
		_, _ = s.Write(b[:n])
		b = b[n:]
	}
	e, _ := s.result()
	return e
}

func TestEveryEncodingIsFoundAndRead(t *testing.T) {
	for _, c := range []struct {
		e   Encoding
		bom bool
	}{{UTF8, false}, {UTF8, true}, {CP932, false}, {UTF16LE, true}, {UTF16BE, true}, {UTF16LE, false}, {UTF16BE, false}} {
		b := encoded(t, c.e, c.bom, waterBill)
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			require.Equal(t, c.e, detect(b, size), "%v in writes of %d", c, size)
		}
		got, err := io.ReadAll(c.e.decode(iotest.OneByteReader(bytes.NewReader(b))))
		require.NoError(t, err)
		require.Equal(t, waterBill, string(got), "%v", c)
	}
}

func TestEncodingWithoutMuchToGoBy(t *testing.T) {
	require.Equal(t, UTF8, detect([]byte("phone,text\n09000010001,hello\n"), 5))
	require.Equal(t, UTF8, detect(nil, 1))
	require.Equal(t, CP932, detect([]byte("phone,kana_name\n09000010001,\xc3\xbd\n"), 5), "ﾃｽ, not ý")
	require.Equal(t, CP932, detect([]byte("phone,kana_name\n09000010001,\xb1\xb2\xb3\n"), 5))
	require.Equal(t, UTF8, detect([]byte(strings.Repeat("水道局", 100)+"\xff,damaged"), 5))
	require.Equal(t, CP932, detect(encoded(t, CP932, false, strings.Repeat("a", 8192)+"水道局"), 1000), "Japanese far behind the start")
}

func TestEveryEncodingIsCheckedAndReleased(t *testing.T) {
	r := openRoom(t)
	r.run()
	for _, c := range []struct {
		e   Encoding
		bom bool
	}{{UTF8, false}, {UTF8, true}, {CP932, false}, {UTF16LE, true}, {UTF16BE, true}} {
		text := waterBill
		if c.e == UTF16LE { // as Excel's "Unicode text"
			text = strings.ReplaceAll(text, ",", "\t")
		}
		st := r.check(encoded(t, c.e, c.bom, text))
		require.Equal(t, c.e, st.Encoding)
		require.EqualValues(t, 1, st.Good, "%v: %v", c, r.list(st.ID, ListFaults))
	}
}

func TestSettingsOverrideTheEncoding(t *testing.T) {
	r := openRoom(t)
	r.run()
	b := []byte("phone,text\n09000010001,\xc3\xa9t\xc3\xa9\n") // été, or ﾃｩtﾃｩ
	f := file(b)
	f.Settings.Encoding = UTF8
	st, _, err := r.Begin(t.Context(), "mizu", f)
	require.NoError(t, err)
	_, err = r.Append(t.Context(), mizu, st.ID, 0, bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, UTF8, r.until(st.ID, Staged).Encoding)
}

func TestUnreadableBytesAreFaultsOfTheirRow(t *testing.T) {
	r := openRoom(t)
	r.run()
	b := encoded(t, CP932, false, "電話番号,本文\r\n09000010001,水道局です\r\n09000010002,XX\r\n")
	b = bytes.Replace(b, []byte("XX"), []byte{0x81, 0x20}, 1)
	st := r.check(b)
	require.Equal(t, CP932, st.Encoding)
	require.EqualValues(t, 1, st.Good)
	found := r.list(st.ID, ListFaults)
	require.Equal(t, "encoding", found[0].Code)
	require.Equal(t, "本文", found[0].Column)
	require.EqualValues(t, 3, found[0].Line)
}
