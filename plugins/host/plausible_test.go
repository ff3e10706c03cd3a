package host

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestAnswersThatCannotBeBelieved(t *testing.T) {
	fault := &proto.Error{Class: proto.ErrorClass_INVALID}
	two := &proto.CanonicalRequest{Items: make([]*proto.CanonicalItem, 2)}
	create := &proto.CreateRequest{AttemptId: "a1"}
	asked := &proto.LookupRequest{Queries: []*proto.NumberQuery{{Number: "+819000010001"}, {Number: "+819000010002", RegisteredOn: "2026-01-01"}}}
	numbers := func(r ...*proto.NumberResult) *proto.LookupResponse { return &proto.LookupResponse{Results: r} }
	nothing := &proto.NumberResult{}
	told := func(d *proto.Deposit) *proto.ReportResponse {
		return &proto.ReportResponse{Rows: []*proto.ReportRow{{Line: 1, Deposit: d}}}
	}
	for _, c := range []struct {
		in, out any
		ok      bool
	}{
		{asked, numbers(&proto.NumberResult{Carrier: "docomo", InService: proto.Certainty_YES}, &proto.NumberResult{ChangedHands: proto.Certainty_YES}), true},
		{asked, numbers(nothing, &proto.NumberResult{Error: fault}), true},
		{asked, &proto.LookupResponse{Error: fault}, true},
		{asked, numbers(), false},
		{asked, numbers(nothing), false},
		{asked, numbers(nothing, nil), false},
		{asked, numbers(nothing, nothing, nothing), false},
		{asked, &proto.LookupResponse{Error: fault, Results: []*proto.NumberResult{nothing, nothing}}, false},
		{asked, numbers(nothing, &proto.NumberResult{Error: fault, Carrier: "au"}), false},
		{asked, numbers(nothing, &proto.NumberResult{Carrier: "au; rm"}), false},
		{asked, numbers(nothing, &proto.NumberResult{Carrier: "0123456789abcdefg"}), false},
		{asked, numbers(nothing, &proto.NumberResult{InService: 4}), false},
		{asked, numbers(nothing, &proto.NumberResult{Ported: -1}), false},
		{asked, numbers(&proto.NumberResult{ChangedHands: proto.Certainty_YES}, nothing), false},
		{two, &proto.CanonicalResponse{Forms: []*proto.CanonicalForm{{Form: "x"}, {Error: fault}}}, true},
		{two, &proto.CanonicalResponse{Forms: []*proto.CanonicalForm{{Form: "x"}}}, false},
		{two, &proto.CanonicalResponse{Forms: []*proto.CanonicalForm{{Form: "x"}, {}}}, false},
		{two, &proto.CanonicalResponse{Forms: []*proto.CanonicalForm{{Form: "x"}, {Form: "x", Error: fault}}}, false},
		{two, &proto.CanonicalResponse{Forms: []*proto.CanonicalForm{{Form: "x"}, {Form: strings.Repeat("x", 5000)}}}, false},
		{nil, &proto.ChallengeResponse{Answer: "1234", Text: "「1234」"}, true},
		{nil, &proto.ChallengeResponse{Error: fault}, true},
		{nil, &proto.ChallengeResponse{Text: "no answer"}, false},
		{nil, &proto.ChallengeResponse{Answer: "1234", Text: strings.Repeat("あ", 671)}, false},
		{create, &proto.CreateResponse{Payment: &proto.Payment{AttemptId: "a1", Yen: 100}}, true},
		{create, &proto.CreateResponse{Error: fault}, true},
		{create, &proto.CreateResponse{}, false},
		{create, &proto.CreateResponse{Payment: &proto.Payment{AttemptId: "a1"}, Error: fault}, false},
		{create, &proto.CreateResponse{Payment: &proto.Payment{AttemptId: "a2"}}, false},
		{create, &proto.CreateResponse{Payment: &proto.Payment{AttemptId: "a1", PaidYen: -1}}, false},
		{&proto.GetRequest{AttemptId: "a1"}, &proto.GetResponse{Payment: &proto.Payment{AttemptId: "a2"}}, false},
		{&proto.CancelRequest{AttemptId: "a1"}, &proto.CancelResponse{}, false},
		{nil, &proto.WebhookResponse{ReplyStatus: 200, Notices: []*proto.PaymentNotice{{NoticeId: "n", Payment: &proto.Payment{}}}}, true},
		{nil, &proto.WebhookResponse{Notices: []*proto.PaymentNotice{{Payment: &proto.Payment{}}}}, false},
		{nil, &proto.WebhookResponse{Notices: []*proto.PaymentNotice{{NoticeId: "n"}}}, false},
		{nil, &proto.WebhookResponse{ReplyStatus: 99}, false},
		{nil, told(&proto.Deposit{Id: "d", Yen: 1, Series: "01", FormerIds: []string{"c"}}), true},
		{nil, told(&proto.Deposit{Yen: 1}), false},
		{nil, told(&proto.Deposit{Id: "d"}), false},
		{nil, told(&proto.Deposit{Id: "d", Yen: 1, Series: strings.Repeat("x", 65)}), false},
		{nil, told(&proto.Deposit{Id: "d", Yen: 1, FormerIds: []string{""}}), false},
		{nil, told(&proto.Deposit{Id: "d", Yen: 1, FormerIds: make([]string, 9)}), false},
		{nil, &proto.RenderPageResponse{Html: []byte("<!doctype html>")}, true},
		{nil, &proto.RenderPageResponse{}, false},
		{nil, &proto.RenderPageResponse{Html: make([]byte, maxHTML+1)}, false},
		{nil, &proto.RenderDocumentResponse{Error: fault}, true},
		{nil, &proto.RenderDocumentResponse{Pdf: make([]byte, maxPDF+1)}, false},
		{&proto.RenderDocumentRequest{Form: proto.DocumentForm_PNG}, &proto.RenderDocumentResponse{Png: []byte("x")}, true},
		{&proto.RenderDocumentRequest{Form: proto.DocumentForm_PNG}, &proto.RenderDocumentResponse{Pdf: []byte("x")}, false},
	} {
		if err := plausible(c.in, c.out); c.ok {
			require.NoError(t, err, "%T %v", c.out, c.out)
		} else {
			require.Error(t, err, "%T", c.out)
		}
	}
}
