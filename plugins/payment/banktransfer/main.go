// Command banktransfer is the module of transfers to bank accounts: each payment gets an account of its own (振込専用口座, バーチャル口座)
// from a pool in the configuration, and what came in is read from the bank's files.
//
// It talks to nobody and remembers nothing. The host chooses the account (a place of the pool, "bank-branch-kind-number"), keeps it
// for the payment until the quarantine is over, and adds up what came. A file is one of three:
//
//	全銀 入出金取引明細 (種別 03) and 振込入金通知 (種別 01), 200 characters a record, with or without line ends   zengin.go
//	CSV with the columns of csvColumns, UTF-8 or Shift_JIS                                                          csv.go
//
// The account of a deposit is that of the file's header, or, where the header names the account behind the pool, the ten digits
// of 振込依頼人コード: branch and number of the account that was paid to.
//
// A deposit's id is made of what the bank says of it, so that it is the same in whichever file it comes again. Without a number of the
// bank's that cannot be: there the id is the file's own, and its series (the kind of file, or the file) tells the host which ids are of
// other transfers for sure (deposit.go).
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

const method = "bank_transfer"

func module(a *agent) sdk.Module {
	return sdk.Module{
		Describe: &proto.DescribeResponse{
			Name: "banktransfer", Vendor: "Kakitome", Version: "0.1.0", Kind: proto.Kind_PAYMENT, ConfigSchema: configSchema, MaxConcurrency: 64, Reports: true,
			PaymentMethods: []*proto.PaymentMethod{{Code: method, Kind: proto.MethodKind_BANK_TRANSFER, LabelJa: "銀行振込", LabelEn: "Bank transfer",
				MinYen: 1, MaxYen: 9_999_999, Pool: true}},
		},
		ValidateConfig: func(config []byte) []*proto.Error {
			_, faults := parseConfig(config)
			return faults
		},
		Configure: func(_ context.Context, instance, _ string, config []byte) *proto.Error {
			return a.configure(instance, config)
		},
		Payment: a,
	}
}
