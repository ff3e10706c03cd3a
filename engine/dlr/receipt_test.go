package dlr

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

var tokyo = time.FixedZone("Asia/Tokyo", 9*3600)

func receipt(text string) *pdu.SM { return &pdu.SM{ESMClass: 0x04, ShortMessage: []byte(text)} }

func TestReceiptsOfTheField(t *testing.T) {
	done := time.Date(2026, 7, 1, 12, 34, 0, 0, tokyo)
	for text, want := range map[string]Receipt{
		"id:0123456789 sub:001 dlvrd:001 submit date:2607011233 done date:2607011234 stat:DELIVRD err:000 text:abc": {ID: "0123456789", State: Delivered, Err: "000", Done: done, Submitted: done.Add(-time.Minute)},
		"id:00B8BE19 submit date:2607011233 done date:260701123400 stat:UNDELIV err:12":                             {ID: "00B8BE19", State: Undeliverable, Err: "12", Done: done, Submitted: done.Add(-time.Minute)},
		"ID:5f0c7f7e-0000-4000-8000-000000000001 STAT:expired ERR:X1A2":                                             {ID: "5f0c7f7e-0000-4000-8000-000000000001", State: Expired, Err: "X1A2"},
		"stat:REJECTD id:7":       {ID: "7", State: Rejected},
		"id:8 stat:DELIV":         {ID: "8", State: Delivered},
		"id:8 stat:DELIVERED":     {ID: "8", State: Delivered},
		"id:8 stat:Undeliverable": {ID: "8", State: Undeliverable},
		"id:8 stat:FAILED":        {ID: "8", State: Undeliverable},
		"id:8 stat:REJECTED":      {ID: "8", State: Rejected},
		"id:8 stat:ACCEPTED":      {ID: "8", State: Accepted},
		"id:8 stat:SKIPPED":       {ID: "8", State: Skipped},
		"id:8 stat:UNKNOWN":       {ID: "8", State: UnknownState},
	} {
		got, err := Parse(receipt(text), tokyo)
		require.NoError(t, err, text)
		require.True(t, want.Done.Equal(got.Done) && want.Submitted.Equal(got.Submitted), text)
		got.Done, got.Submitted = want.Done, want.Submitted
		require.Equal(t, want, got, text)
	}
}

func TestTLVsWinOverText(t *testing.T) {
	p := receipt("id:1 stat:UNDELIV")
	var err error
	p.TLVs, err = pdu.AppendTLV(p.TLVs, pdu.TagReceiptedMessageID, "2\x00")
	require.NoError(t, err)
	p.TLVs, err = pdu.AppendTLV(p.TLVs, pdu.TagMessageState, []byte{2})
	require.NoError(t, err)
	got, err := Parse(p, tokyo)
	require.NoError(t, err)
	require.Equal(t, Receipt{ID: "2", State: Delivered}, got)
}

// TestReceiptWithoutAStateIsSaidToBeSo: no state is read into a word that is none, nor out of the quoted text.
func TestReceiptWithoutAStateIsSaidToBeSo(t *testing.T) {
	for _, text := range []string{"id:9 done date:2607 stat:WHAT text:id:1 stat:DELIVRD", "id:9", "id:9 stat:DELI", "id:9 stat:09012345678"} {
		r, err := Parse(receipt(text), tokyo)
		require.ErrorIs(t, err, ErrNoState, text)
		require.NotContains(t, err.Error(), "090")
		require.Equal(t, Receipt{ID: "9"}, r, text)
	}
	for state, want := range map[byte]State{0: Delivered, 9: Skipped, 77: Delivered} { // what message_state does not say, the text may
		p := receipt("id:9 stat:DELIVRD")
		p.TLVs = p.TLVs.AppendUint8(pdu.TagMessageState, state)
		r, err := Parse(p, tokyo)
		require.NoError(t, err)
		require.Equal(t, want, r.State)
	}
}

func TestReceiptWithoutIDIsRefused(t *testing.T) {
	_, err := Parse(receipt("stat:DELIVRD text:id:3"), tokyo)
	require.ErrorIs(t, err, ErrNoID)
}

func TestIDRulesMatchBothSides(t *testing.T) {
	for _, c := range []struct{ rule, response, receipt string }{
		{"text", "abc", "abc"},
		{"fold", "5F0C-aa", "5f0c-AA"},
		{"decimal", "0000123", "123"},
		{"hex", "00b8be19", "B8BE19"},
		{"hex/decimal", "00B8BE19", "12107289"},
		{"decimal/hex", "12107289", "b8be19"},
		{"hex/decimal", "FFFFFFFFFFFFFFFFFF", "4722366482869645213695"},
		{"decimal", "not-a-number", "not-a-number"},
	} {
		r, err := ParseIDRule(c.rule)
		require.NoError(t, err)
		require.Equal(t, r.FromResponse(c.response), r.FromReceipt(c.receipt), "%v", c)
	}
	for _, bad := range []string{"octal", "hex/text", "hex/"} {
		_, err := ParseIDRule(bad)
		require.Error(t, err, bad)
	}
}

func TestPhoneIsTheSameHoweverItIsWritten(t *testing.T) {
	for _, address := range []string{"09000010001", "819000010001", "+819000010001", "+81-90-0001-0001"} {
		require.EqualValues(t, 9000010001, PhoneOf(address), address)
	}
	require.Zero(t, PhoneOf(""))
}
