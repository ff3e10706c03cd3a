package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kakitome/kakitome/conf"
	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/bind"
	"github.com/kakitome/kakitome/engine/carrier"
	"github.com/kakitome/kakitome/engine/dispatch"
	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/smpp/pdu"
	"github.com/kakitome/kakitome/smpp/session"
)

type holdRequest struct {
	Carrier string          `json:"carrier"`
	Mode    tenant.HoldMode `json:"mode"`
}

type reloaded struct {
	Restart []string `json:"restart"` // sections that differ and need one
}

type carrierStatus struct {
	Carrier string        `json:"carrier"`
	Hold    tenant.Hold   `json:"hold"`
	Binds   []bind.Status `json:"binds"`
}

func (d *operatorDoor) reload(context.Context, struct{}) (reloaded, error) {
	restart, err := d.reloader.reload()
	return reloaded{restart}, err
}

// hold pauses, drains or releases a carrier, durably.
func (d *operatorDoor) hold(ctx context.Context, in holdRequest) (struct{}, error) {
	if _, ok := d.carriers.Carrier(in.Carrier); !ok {
		return struct{}{}, fmt.Errorf("there is no carrier %q", in.Carrier)
	}
	if err := d.directory.Hold(ctx, in.Carrier, in.Mode, "operator"); err != nil {
		return struct{}{}, err
	}
	d.dispatch.Recheck()
	return struct{}{}, d.audit.Record(ctx, tenant.OperatorID, audit.Entry{By: "operator", Action: "carrier.hold", Target: in.Carrier, Detail: string(in.Mode)})
}

func (d *operatorDoor) carrierStatus() []carrierStatus {
	held, binds := d.directory.Now().Held, d.dispatch.Status()
	var all []carrierStatus
	for _, c := range d.carriers.Carriers() {
		st := carrierStatus{Carrier: c.Name, Hold: held[c.Name]}
		for _, b := range binds {
			if b.Carrier == c.Name {
				st.Binds = append(st.Binds, b)
			}
		}
		all = append(all, st)
	}
	return all
}

func reloadCommand(ctx context.Context, args []string) error {
	o, _, err := operatorFlags("reload", args, 0)
	if err != nil {
		return err
	}
	var out reloaded
	if err := o.call(ctx, "/reload", struct{}{}, &out); err != nil {
		return err
	}
	fmt.Println("carriers, ranges, binds and rules are in use")
	if len(out.Restart) > 0 {
		fmt.Println("changed too, but only a restart puts them into use:", strings.Join(out.Restart, ", "))
	}
	return nil
}

// operatorFlags parses the flags of a command for a running engine that takes n further words.
func operatorFlags(name string, args []string, n int) (*operator, []string, error) {
	fs := flags(name)
	config := fs.String("config", "", "configuration file of the engine")
	if err := fs.Parse(args); err != nil {
		return nil, nil, err
	}
	if fs.NArg() != n || *config == "" {
		return nil, nil, errUsage
	}
	o, err := dialOperator(*config)
	return o, fs.Args(), err
}

func holdCommand(mode tenant.HoldMode) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		o, words, err := operatorFlags("carrier", args, 1)
		if err != nil {
			return err
		}
		if err := o.call(ctx, "/carriers/hold", holdRequest{words[0], mode}, new(struct{})); err != nil {
			return err
		}
		fmt.Printf("carrier %s: %s\n", words[0], map[tenant.HoldMode]string{
			tenant.Paused: "nothing is submitted, receipts are taken", tenant.Drained: "its binds finish and unbind", tenant.Released: "submits again"}[mode])
		return nil
	}
}

func carrierStatusCommand(ctx context.Context, args []string) error {
	o, _, err := operatorFlags("carrier status", args, 0)
	if err != nil {
		return err
	}
	var all []carrierStatus
	if err := o.call(ctx, "/carriers", nil, &all); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CARRIER\tHOLD\tBIND\tSTATE\tSINCE\tOUTSTANDING\tPACE\tSUBMITTED\tIN DOUBT\tRECEIVED\tWHY")
	for _, c := range all {
		hold := string(c.Hold.Mode)
		if hold == "" {
			hold = "-"
		}
		if len(c.Binds) == 0 {
			fmt.Fprintf(w, "%s\t%s\t-\t\t\t\t\t\t\t\tno bind: messages wait\n", c.Carrier, hold)
		}
		for _, b := range c.Binds {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%s\n", c.Carrier, hold, b.Name, b.State, b.Since.Format(time.TimeOnly),
				b.Stats.Outstanding, paceWord(b), b.Stats.Submitted, b.Stats.InDoubt, b.Stats.Received, b.Why)
		}
	}
	return w.Flush()
}

// paceWord is how many PDUs a second a bind may submit.
func paceWord(b bind.Status) string {
	switch {
	case b.Pace > 0:
		return fmt.Sprintf("%d/s (slowed)", b.Pace)
	case b.Rate > 0:
		return fmt.Sprintf("%d/s", b.Rate)
	}
	return "-"
}

// carrierTryCommand binds once, beside the engine or without it, sends one SMS, and shows how the carrier writes its ids.
func carrierTryCommand(ctx context.Context, args []string) error {
	fs := flags("carrier try")
	config, from := fs.String("config", "", "configuration file"), fs.String("from", "", "sender address that the carrier approved")
	text, wait := fs.String("text", "Kakitome test", "text of the SMS"), fs.Duration("wait", time.Minute, "how long to wait for the delivery receipt")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 2 || *config == "" || *from == "" {
		return errUsage
	}
	c, err := conf.Load(*config)
	if err != nil {
		return err
	}
	table, err := carrier.Open(c.Numbers)
	if err != nil {
		return err
	}
	cr, ok := table.Carrier(fs.Arg(0))
	if !ok {
		return fmt.Errorf("there is no carrier %q", fs.Arg(0))
	}
	number, err := carrier.ParseNumber(fs.Arg(1))
	if err != nil {
		return err
	}
	if found, known := table.Resolve(number); !known || found.Carrier.Name != cr.Name {
		return fmt.Errorf("by the tables %s is no number of %s", number.Masked(), cr.Name)
	}
	i := slices.IndexFunc(c.Binds, func(b bind.Config) bool { return b.Carrier == cr.Name })
	if i < 0 {
		return fmt.Errorf("carrier %s has no bind", cr.Name)
	}
	rules, err := dispatch.Try(ctx, dispatch.Trial{Bind: c.Binds[i], Number: number, From: *from, Text: *text, Wait: *wait,
		Tell: func(s dispatch.Step) { fmt.Println(s) }})
	var refused *session.BindError
	switch {
	case errors.As(err, &refused) && refused.Status == pdu.StatusAlreadyBound:
		return fmt.Errorf("%w: the carrier allows no further bind; `kakitome carrier drain` lets go of the engine's", err)
	case err != nil:
		return err
	}
	fmt.Printf("id_rule = %q\n", rules[0])
	if len(rules) > 1 {
		fmt.Printf("(%s fit as well: try again until the ids differ)\n", strings.Join(rules[1:], ", "))
	}
	return nil
}
