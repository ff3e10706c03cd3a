// Command stripe is the module of Stripe: cards and convenience stores on Stripe's hosted Checkout page, refunds, chargebacks.
//
// It translates and remembers nothing but the configured instances. One attempt is one Checkout Session, created with the
// attempt as idempotency key and as client_reference_id; agent_payment_id is the session's id, receipt_number the payment
// intent's. A webhook is a reason to look: what it says is not believed, the session is read anew, so that neither order nor
// age of events matters. Nothing is tried again by the library: what is uncertain is said to be so.
//
//	session open                          → REQUIRES_ACTION, url
//	session complete, konbini not paid    → AWAITING, the numbers of each store
//	session complete, intent succeeded    → CONFIRMED; there is no 速報
//	session complete, intent failed       → FAILED (card), EXPIRED (konbini)
//	session expired                       → EXPIRED; it lives at most 24 hours, the payer may begin again
//	charge refunded, dispute not won      → CONFIRMED with refunded_yen
//
// Secrets stand in the tenant's `[[agent]] config_file` (0600), which the host seals; the module has them in memory alone.
package main

import (
	"context"
	_ "embed"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

//go:embed config.schema.json
var configSchema string

func main() { sdk.Serve(module(newAgent())) }

func module(a *agent) sdk.Module {
	return sdk.Module{
		Describe:       describe(),
		ValidateConfig: validateConfig,
		Configure: func(_ context.Context, instance, _ string, config []byte) *proto.Error {
			return a.configure(instance, config)
		},
		Drain:   func(context.Context) { a.http.CloseIdleConnections() },
		Payment: a,
	}
}

const (
	methodCard    = "card"
	methodKonbini = "konbini"
)

func describe() *proto.DescribeResponse {
	return &proto.DescribeResponse{
		Name: "stripe", Vendor: "Kakitome", Version: "0.1.0", Kind: proto.Kind_PAYMENT, ConfigSchema: configSchema, MaxConcurrency: 64,
		PaymentMethods: []*proto.PaymentMethod{
			{Code: methodCard, Kind: proto.MethodKind_CARD, LabelJa: "クレジットカード", LabelEn: "Credit card",
				MinYen: 50, MaxYen: 9_999_999, Redirect: true, CancelBlocksPayment: true, Refunds: true},
			// The stores are chosen on Stripe's page. A number that a shop has begun to take is paid though it is canceled.
			{Code: methodKonbini, Kind: proto.MethodKind_KONBINI_NUMBER, LabelJa: "コンビニ", LabelEn: "Convenience store",
				MinYen: 120, MaxYen: proto.MaxKonbiniYen, Redirect: true},
		},
	}
}
