package tenant

import "strings"

// PaidSMS is the short message that tells the payer that the money has come (入金のお知らせ), once for a claim.
type PaidSMS struct {
	// When: "confirmed" with 確報; "received" with 速報 or 確報, whichever is first. Empty: none is sent.
	When string `json:"when,omitempty" toml:"when,omitempty"`
	// Template is the name of one of the tenant's, without {url}. It gets {number} of the claim, {amount} in yen, {paid_on}, {payer},
	// {tenant}, and {link}: the link of the message that the claim was paid through, or nothing when it has ended. Empty: a text of ours.
	Template string `json:"template,omitempty" toml:"template,omitempty"`
	// Sender is the profile it goes out under. Empty: that of the message.
	Sender string `json:"sender,omitempty" toml:"sender,omitempty"`
}

// The values of PaidSMS.When.
const (
	PaidOnConfirmed = "confirmed"
	PaidOnReceived  = "received"
)

func (t *Tenant) validatePaidSMS(bad func(field, format string, args ...any)) {
	p := t.PaidSMS
	if p.When != "" && p.When != PaidOnConfirmed && p.When != PaidOnReceived {
		bad("paid_sms.when", "%q must be %q or %q, or empty for none", p.When, PaidOnConfirmed, PaidOnReceived)
	}
	if p.Template != "" {
		switch text, ok := t.Template(p.Template); {
		case !ok:
			bad("paid_sms.template", "there is no template %q", p.Template)
		case strings.Contains(text, "{url}"):
			bad("paid_sms.template", "template %q has {url}, and this message has no page of its own: use {link}", p.Template)
		}
	}
	if p.Sender != "" && !t.hasSender(p.Sender) {
		bad("paid_sms.sender", "there is no sender %q", p.Sender)
	}
}

func (t *Tenant) hasSender(name string) bool {
	for i := range t.Senders {
		if t.Senders[i].Name == name {
			return true
		}
	}
	return false
}
