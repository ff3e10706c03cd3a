// Simulated is the number lookup in the box. It asks nobody: the last four digits of a number say what is told of it, as
// they choose what the simulated carriers do (smpp/smsc, whose 94xx to 97xx it leaves alone).
//
//	9801  changed hands yesterday: after any registered_on before that
//	9802  changed hands on 2026-01-01
//	9803  not in service
//	9804  nothing is known of it
//	9811  ported to docomo
//	9812  ported to au
//	9813  ported to softbank
//	9814  ported to rakuten
//	9820  this number alone cannot be looked up
//	9821  the whole batch is refused
//	9822  the module ends in the middle of the batch
//	9823  the batch is answered after 3 s
//	9824  the batch is never answered
//	9825  the batch is answered with one result less
//
// Every other number has the carrier that its range says (carrier is left empty), is in service and did not change hands.
// An instance's configuration (config.schema.json) makes all batches slow or faulty.
//
// It is also the example of a module for a source that takes batches; one for a source that does not uses sdk.PerNumber.
// Nothing that was asked appears in an error or a log.
package main

import (
	"context"
	_ "embed"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

//go:embed config.schema.json
var configSchema string

func main() { sdk.Serve(module(&simulated{exit: os.Exit})) }

func module(s *simulated) sdk.Module {
	return sdk.Module{
		Describe: &proto.DescribeResponse{
			Name: "simulated", Vendor: "Kakitome", Version: "0.1.0", Kind: proto.Kind_NUMBER,
			ConfigSchema: configSchema, MaxConcurrency: 64, MaxNumbers: sdk.MaxNumbers,
			NumberFacts: []proto.NumberFact{proto.NumberFact_CARRIER_NOW, proto.NumberFact_IN_SERVICE, proto.NumberFact_CHANGED_HANDS},
		},
		ValidateConfig: func(config []byte) []*proto.Error {
			_, faults := parseConfig(config)
			return faults
		},
		Configure: s.configure,
		Number:    s,
	}
}

// simulated keeps the configurations of its instances and nothing else.
type simulated struct {
	proto.UnimplementedNumberServer
	instances sync.Map // string → config
	exit      func(code int)
}

func (s *simulated) configure(_ context.Context, instance, _ string, data []byte) *proto.Error {
	c, _ := parseConfig(data) // the sdk has validated it
	s.instances.Store(instance, c)
	return nil
}

// Lookup tells what the numbers' last digits say.
func (s *simulated) Lookup(ctx context.Context, in *proto.LookupRequest) (*proto.LookupResponse, error) {
	if len(in.Queries) > sdk.MaxNumbers {
		return nil, status.Errorf(codes.InvalidArgument, "%d numbers: at most %d are taken at once", len(in.Queries), sdk.MaxNumbers)
	}
	stored, _ := s.instances.Load(in.GetCall().GetInstance())
	c, _ := stored.(config)
	wait, fault := time.Duration(c.LatencyMS)*time.Millisecond, c.Fault
	out := &proto.LookupResponse{Results: make([]*proto.NumberResult, len(in.Queries))}
	for i, q := range in.Queries {
		if i == len(in.Queries)/2 && fault == faultDie {
			s.exit(1)
		}
		switch suffix(q.Number) {
		case "9821":
			fault = faultRefuse
		case "9822":
			fault = faultDie
			s.exit(1)
		case "9823":
			wait = max(wait, 3*time.Second)
		case "9824":
			fault = faultHang
		case "9825":
			fault = faultShort
		}
		out.Results[i] = look(q, in.GetCall().GetNow().AsTime())
	}
	if fault == faultHang {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-timer.C:
	}
	switch {
	case fault == faultRefuse:
		return &proto.LookupResponse{Error: &proto.Error{Class: proto.ErrorClass_UNAVAILABLE, Code: "on_command", Message: "the batch is refused on command"}}, nil
	case fault == faultShort && len(out.Results) > 0:
		out.Results = out.Results[1:]
	}
	return out, nil
}

func suffix(number string) string { return number[max(0, len(number)-4):] }

var (
	mobile = regexp.MustCompile(`^\+81[6789]0[0-9]{8}$`)
	tokyo  = time.FixedZone("JST", 9*60*60)
)

var portedTo = map[string]string{"9811": "docomo", "9812": "au", "9813": "softbank", "9814": "rakuten"}

// look tells of one number, at a time of the host's clock.
func look(q *proto.NumberQuery, now time.Time) *proto.NumberResult {
	refuse := func(class proto.ErrorClass, code, message, field string) *proto.NumberResult {
		return &proto.NumberResult{Error: &proto.Error{Class: class, Code: code, Message: message, Field: field}}
	}
	if !mobile.MatchString(q.Number) {
		return refuse(proto.ErrorClass_INVALID, "no_number", "want +81 and the ten digits of a mobile number", "number")
	}
	if q.RegisteredOn != "" {
		if _, err := time.Parse(time.DateOnly, q.RegisteredOn); err != nil {
			return refuse(proto.ErrorClass_INVALID, "no_day", "want a day as YYYY-MM-DD", "registered_on")
		}
	}
	r := &proto.NumberResult{Ported: proto.Certainty_NO, InService: proto.Certainty_YES}
	changed := "" // the day, if it ever did
	switch s := suffix(q.Number); s {
	case "9801":
		changed = now.In(tokyo).AddDate(0, 0, -1).Format(time.DateOnly)
	case "9802":
		changed = "2026-01-01"
	case "9803":
		r.InService = proto.Certainty_NO
	case "9804":
		r.Ported, r.InService = proto.Certainty_UNKNOWN, proto.Certainty_UNKNOWN
	case "9820":
		return refuse(proto.ErrorClass_UNAVAILABLE, "on_command", "the number is refused on command", "")
	default:
		if to := portedTo[s]; to != "" {
			r.Carrier, r.Ported = to, proto.Certainty_YES
		}
	}
	switch {
	case q.RegisteredOn == "": // not asked
	case strings.HasSuffix(q.Number, "9804"):
		r.ChangedHands = proto.Certainty_UNKNOWN
	case q.RegisteredOn <= changed: // as days compare
		r.ChangedHands = proto.Certainty_YES
	default:
		r.ChangedHands = proto.Certainty_NO
	}
	return r
}
