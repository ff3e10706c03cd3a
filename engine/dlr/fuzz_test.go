package dlr

import (
	"testing"

	"github.com/kakitome/kakitome/smpp/pdu"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte("id:0123456789 sub:001 dlvrd:001 submit date:2607011233 done date:2607011234 stat:DELIVRD err:000 text:abc"), "hex/decimal")
	f.Add([]byte("id: stat: err:"), "fold")
	f.Add([]byte("\xff\xfeid:\x00"), "")
	f.Fuzz(func(t *testing.T, text []byte, rule string) {
		r, _ := Parse(&pdu.SM{ShortMessage: text}, tokyo)
		if len(r.ID) > 65 || len(r.Err) > 65 {
			t.Fatal("a field is longer than SMPP allows")
		}
		if ids, err := ParseIDRule(rule); err == nil {
			key := ids.FromReceipt(r.ID)
			if len(key) > 1+2*len(r.ID) { // "=" in front, and some letters are longer in lower case
				t.Fatal("a key grew")
			}
		}
	})
}
