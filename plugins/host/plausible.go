package host

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/kakitome/kakitome/plugins/proto"
)

const (
	maxHTML = 512 << 10
	maxPDF  = 5 << 20
	maxForm = 4 << 10
	maxSMS  = 670 // UTF-8 is counted below as runes
	maxURL  = 1500
	maxKeep = 256
)

// plausible checks what a module answers against what was asked, as far as the contract says it: nobody behind this
// package has to fear an answer that is too short, too long or another's.
func plausible(in, out any) error {
	switch out := out.(type) {
	case *proto.CanonicalResponse:
		in := in.(*proto.CanonicalRequest)
		if len(out.Forms) != len(in.Items) {
			return fmt.Errorf("%d forms for %d items", len(out.Forms), len(in.Items))
		}
		for i, f := range out.Forms {
			if (f.Error == nil) == (f.Form == "") || len(f.Form) > maxForm {
				return fmt.Errorf("item %d: neither an error nor a form of at most %d bytes", i+1, maxForm)
			}
		}
	case *proto.ChallengeResponse:
		if out.Error == nil && (out.Answer == "" || out.Text == "" || len(out.Answer) > maxForm || len([]rune(out.Text)) > maxSMS) {
			return errors.New("a challenge without an answer or without a text that an SMS can carry")
		}
	case *proto.BeginResponse:
		if out.Error == nil && (out.RedirectUrl == "" || len(out.RedirectUrl) > maxURL || len(out.Keep) > maxKeep) {
			return fmt.Errorf("neither an error nor an address of at most %d bytes with at most %d to keep", maxURL, maxKeep)
		}
	case *proto.FinishResponse:
		if (out.Error == nil) == (out.Form == "") || len(out.Form) > maxForm {
			return fmt.Errorf("neither an error nor a form of at most %d bytes", maxForm)
		}
	case *proto.CreateResponse:
		return plausiblePayment(in.(*proto.CreateRequest).AttemptId, out.Payment, out.Error)
	case *proto.GetResponse:
		return plausiblePayment(in.(*proto.GetRequest).AttemptId, out.Payment, out.Error)
	case *proto.CancelResponse:
		return plausiblePayment(in.(*proto.CancelRequest).AttemptId, out.Payment, out.Error)
	case *proto.RefreshVoucherResponse:
		return plausiblePayment(in.(*proto.RefreshVoucherRequest).AttemptId, out.Payment, out.Error)
	case *proto.RefundResponse:
		return plausiblePayment(in.(*proto.RefundRequest).AttemptId, out.Payment, out.Error)
	case *proto.ReportResponse:
		for _, r := range out.Rows {
			if (r.GetPayment() == nil) == (r.GetDeposit() == nil) || r.Deposit != nil && (r.Deposit.Id == "" || len(r.Deposit.Id) > 64 || r.Deposit.Yen < 1) {
				return fmt.Errorf("line %d of a report: neither a payment nor a deposit with an id and an amount", r.GetLine())
			}
			if d := r.Deposit; len(d.GetSeries()) > 64 || len(d.GetFormerIds()) > 8 || slices.ContainsFunc(d.GetFormerIds(), func(id string) bool { return id == "" || len(id) > 64 }) {
				return fmt.Errorf("line %d of a report: a deposit with a series or former ids that are too long or too many", r.GetLine())
			}
		}
	case *proto.WebhookResponse:
		for _, n := range out.Notices {
			if n.Payment == nil || n.NoticeId == "" {
				return errors.New("a notice without a payment or without an id")
			}
		}
		if s := out.ReplyStatus; s != 0 && (s < 200 || s > 599) {
			return fmt.Errorf("a reply of status %d", s)
		}
	case *proto.RenderPageResponse:
		if out.Error == nil && (len(out.Html) == 0 || len(out.Html) > maxHTML) {
			return fmt.Errorf("a page of %d bytes: 1 to %d are allowed", len(out.Html), maxHTML)
		}
	case *proto.RenderDocumentResponse:
		body := out.Pdf
		if req, _ := in.(*proto.RenderDocumentRequest); req.GetForm() == proto.DocumentForm_PNG {
			body = out.Png
		}
		if out.Error == nil && (len(body) == 0 || len(body) > maxPDF) {
			return fmt.Errorf("a document of %d bytes: 1 to %d are allowed", len(body), maxPDF)
		}
	case *proto.LookupResponse:
		return plausibleNumbers(in.(*proto.LookupRequest), out)
	}
	return nil
}

var carrierName = regexp.MustCompile(`^[a-z0-9]{0,16}$`)

// plausibleNumbers says of a wrong answer which result it is, and never the number.
func plausibleNumbers(in *proto.LookupRequest, out *proto.LookupResponse) error {
	if out.Error != nil && len(out.Results) == 0 {
		return nil
	}
	if out.Error != nil || len(out.Results) != len(in.Queries) {
		return fmt.Errorf("%d results for %d numbers", len(out.Results), len(in.Queries))
	}
	for i, r := range out.Results {
		told := r.GetCarrier() != "" || r.GetPorted() != 0 || r.GetInService() != 0 || r.GetChangedHands() != 0
		switch {
		case r == nil, r.Error != nil && told:
			return fmt.Errorf("result %d: neither an error nor an answer", i+1)
		case !carrierName.MatchString(r.Carrier):
			return fmt.Errorf("result %d: a carrier of %d bytes, 0 to 16 of a-z and 0-9 are allowed", i+1, len(r.Carrier))
		case max(r.Ported, r.InService, r.ChangedHands) > proto.Certainty_UNKNOWN, min(r.Ported, r.InService, r.ChangedHands) < 0:
			return fmt.Errorf("result %d: a certainty that the contract does not have", i+1)
		case r.ChangedHands == proto.Certainty_YES && in.Queries[i].RegisteredOn == "":
			return fmt.Errorf("result %d: says that the number changed hands, which was not asked", i+1)
		}
	}
	return nil
}

func plausiblePayment(attempt string, p *proto.Payment, fault *proto.Error) error {
	switch {
	case (p == nil) == (fault == nil):
		return errors.New("either a payment or an error is needed")
	case p == nil:
		return nil
	case p.AttemptId != attempt:
		return errors.New("the payment of another attempt")
	case p.Yen < 0 || p.PaidYen < 0:
		return errors.New("a payment of less than nothing")
	}
	return nil
}
