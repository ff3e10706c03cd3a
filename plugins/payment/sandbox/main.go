// Command sandbox is the module of サンドボックス決済, the payment company in the box (tools/till): convenience store
// numbers and barcodes, a payer's own number for all of his bills, Pay-easy; cards (once, or kept for later bills), a wallet
// and the registration of an account for direct debit on the company's own page; and its 確報 files.
//
// It translates. Create, Get, Cancel, Refund and RefreshVoucher become one signed HTTP request each, a webhook becomes one notice. Nothing is
// remembered but the configured instances, nothing is tried again: what is uncertain is said to be so.
//
//	no connection was made                     → UNAVAILABLE, the host may try again with the same attempt
//	asked to create or cancel, no clear answer → UNKNOWN_OUTCOME, the host asks with Get
//	asked to tell, no clear answer             → UNAVAILABLE, asking changes nothing
//
// The company's interface is described in tools/till/README.md; the module shares no code with it.
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
		Drain:   func(context.Context) { a.client.CloseIdleConnections() },
		Payment: a,
	}
}

const (
	methodNumber  = "konbini_number"
	methodBarcode = "konbini_barcode"
	methodCard    = "card"
	methodPayer   = "payer_number"
	methodPayEasy = "pay_easy"
	methodKept    = "card_recurring"
	methodWallet  = "wallet"
	methodAccount = "account_registration"

	maxCardYen     = 9_999_999
	maxPayEasyYen  = 9_999_999
	maxWalletYen   = 500_000
	maxRegisterYen = 9_999_999 // of the bill that led to it; no money moves
)

func describe() *proto.DescribeResponse {
	stores := []*proto.Store{
		{Code: "konbini_a", LabelJa: "コンビニA", LabelEn: "Convenience Store A"},
		{Code: "konbini_b", LabelJa: "コンビニB", LabelEn: "Convenience Store B"},
		{Code: "konbini_c", LabelJa: "コンビニC", LabelEn: "Convenience Store C"},
		{Code: "konbini_d", LabelJa: "コンビニD", LabelEn: "Convenience Store D"},
		{Code: "konbini_e", LabelJa: "コンビニE", LabelEn: "Convenience Store E"},
	}
	return &proto.DescribeResponse{
		Name: "sandbox", Vendor: "Kakitome", Version: "0.1.0", Kind: proto.Kind_PAYMENT,
		ConfigSchema: configSchema, MaxConcurrency: 64, Reports: true,
		PaymentMethods: []*proto.PaymentMethod{
			{Code: methodNumber, Kind: proto.MethodKind_KONBINI_NUMBER, LabelJa: "コンビニ（お支払番号）",
				LabelEn: "Convenience store (payment number)", MinYen: 1, MaxYen: proto.MaxKonbiniYen,
				CancelBlocksPayment: true, Stores: stores},
			// A slip on paper or on a screen is taken by its digits alone, also after it was canceled.
			{Code: methodBarcode, Kind: proto.MethodKind_KONBINI_BARCODE, LabelJa: "コンビニ（バーコード）",
				LabelEn: "Convenience store (barcode)", MinYen: 1, MaxYen: proto.MaxKonbiniYen, Stores: stores, Refreshes: true},
			{Code: methodCard, Kind: proto.MethodKind_CARD, LabelJa: "クレジットカード",
				LabelEn: "Credit card", MinYen: 1, MaxYen: maxCardYen, Redirect: true, CancelBlocksPayment: true, Refunds: true},
			{Code: methodPayer, Kind: proto.MethodKind_PAYER_NUMBER, LabelJa: "コンビニ（お客様専用番号）",
				LabelEn: "Convenience store (your own number)", MinYen: 1, MaxYen: proto.MaxKonbiniYen, CancelBlocksPayment: true, Stores: stores},
			{Code: methodPayEasy, Kind: proto.MethodKind_PAY_EASY, LabelJa: "ペイジー（ATM・ネットバンキング）",
				LabelEn: "Pay-easy (ATM, internet banking)", MinYen: 1, MaxYen: maxPayEasyYen, CancelBlocksPayment: true,
				Stores: []*proto.Store{{Code: "bank", LabelJa: "金融機関・ATM", LabelEn: "Bank or ATM"}}},
			{Code: methodKept, Kind: proto.MethodKind_CARD_RECURRING, LabelJa: "クレジットカード（登録して支払う）",
				LabelEn: "Credit card (pay and register)", MinYen: 1, MaxYen: maxCardYen, Redirect: true, CancelBlocksPayment: true, Charges: true},
			{Code: methodWallet, Kind: proto.MethodKind_WALLET, LabelJa: "ウォレット",
				LabelEn: "Wallet", MinYen: 1, MaxYen: maxWalletYen, Redirect: true, CancelBlocksPayment: true},
			{Code: methodAccount, Kind: proto.MethodKind_ACCOUNT_REGISTRATION, LabelJa: "口座振替のお申し込み",
				LabelEn: "Direct debit (register an account)", MinYen: 1, MaxYen: maxRegisterYen, Redirect: true, CancelBlocksPayment: true},
		},
	}
}
