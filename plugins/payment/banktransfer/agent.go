package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// agent serves proto.PaymentAgent. It is safe for concurrent use.
type agent struct {
	proto.UnimplementedPaymentAgentServer

	mu        sync.RWMutex // guards contracts
	contracts map[string]*contract
}

func newAgent() *agent { return &agent{contracts: map[string]*contract{}} }

func (a *agent) configure(instance string, config []byte) *proto.Error {
	c, faults := parseConfig(config)
	if len(faults) > 0 {
		return faults[0]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.contracts[instance] = c
	return nil
}

func (a *agent) contract(call *proto.Call) (*contract, *proto.Error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if c := a.contracts[call.GetInstance()]; c != nil {
		return c, nil
	}
	return nil, &proto.Error{Class: proto.ErrorClass_CONFIG, Code: "not_configured", Message: fmt.Sprintf("instance %q is not configured", call.GetInstance())}
}

// Pool names the accounts.
func (a *agent) Pool(_ context.Context, in *proto.PoolRequest) (*proto.PoolResponse, error) {
	c, fault := a.contract(in.Call)
	if fault != nil {
		return &proto.PoolResponse{Error: fault}, nil
	}
	if in.Method != method {
		return &proto.PoolResponse{Error: unknownMethod(in.Method)}, nil
	}
	return &proto.PoolResponse{Places: c.places, Quarantine: durationpb.New(time.Duration(c.QuarantineDays) * 24 * time.Hour)}, nil
}

func unknownMethod(code string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_NOT_SUPPORTED, Code: "unknown_method", Field: "method", Message: fmt.Sprintf("method %q is not %s", code, method)}
}

func invalid(field, message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_INVALID, Code: "invalid_request", Field: field, Message: message}
}

// Create shows the account of the place. Nobody is told: a bank does not know of payments.
func (a *agent) Create(_ context.Context, in *proto.CreateRequest) (*proto.CreateResponse, error) {
	c, fault := a.contract(in.Call)
	switch {
	case fault != nil:
	case in.Method != method:
		fault = unknownMethod(in.Method)
	case in.AttemptId == "":
		fault = invalid("attempt_id", "is missing")
	case in.Yen < 1 || in.Yen > 9_999_999:
		fault = invalid("yen", fmt.Sprintf("%d; want 1 to 9999999", in.Yen))
	}
	if fault != nil {
		return &proto.CreateResponse{Error: fault}, nil
	}
	p, fault := c.payment(in.AttemptId, in.Place, proto.PaymentState_AWAITING)
	return &proto.CreateResponse{Payment: p, Error: fault}, nil
}

// payment is how a payment stands as far as anybody here knows: its account waits. What came in is told by files.
func (c *contract) payment(attempt, place string, state proto.PaymentState) (*proto.Payment, *proto.Error) {
	acc, ok := c.of[place]
	if !ok {
		return nil, &proto.Error{Class: proto.ErrorClass_CONFIG, Code: "no_such_account", Field: "place", Message: "the configuration has no such account: one that payments wait for must stay"}
	}
	return &proto.Payment{AttemptId: attempt, AgentPaymentId: place, State: state, Voucher: &proto.Voucher{Account: &proto.BankAccount{
		Bank: acc.bankName, Branch: acc.branchName + "（" + acc.branch + "）", Kind: acc.kind, Number: acc.number, Holder: acc.holder}}}, nil
}

// Get tells that the account waits.
func (a *agent) Get(_ context.Context, in *proto.GetRequest) (*proto.GetResponse, error) {
	c, fault := a.contract(in.Call)
	if fault != nil {
		return &proto.GetResponse{Error: fault}, nil
	}
	if in.Place == "" {
		return &proto.GetResponse{Error: &proto.Error{Class: proto.ErrorClass_NOT_FOUND, Code: "no_account", Message: "the payment has no account"}}, nil
	}
	p, fault := c.payment(in.AttemptId, in.Place, proto.PaymentState_AWAITING)
	return &proto.GetResponse{Payment: p, Error: fault}, nil
}

// Cancel ends the payment here. A transfer to the account is taken by the bank all the same, and told by a file.
func (a *agent) Cancel(_ context.Context, in *proto.CancelRequest) (*proto.CancelResponse, error) {
	if _, fault := a.contract(in.Call); fault != nil {
		return &proto.CancelResponse{Error: fault}, nil
	}
	return &proto.CancelResponse{Payment: &proto.Payment{AttemptId: in.AttemptId, AgentPaymentId: in.Place, State: proto.PaymentState_CANCELED}}, nil
}

// HandleWebhook knows none.
func (a *agent) HandleWebhook(context.Context, *proto.WebhookRequest) (*proto.WebhookResponse, error) {
	return &proto.WebhookResponse{ReplyStatus: http.StatusNotFound}, nil
}
