package smsc

import (
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// Duration is a time.Duration written as "50ms" in configuration and JSON.
type Duration time.Duration

// UnmarshalText reads "50ms", "3s", …; negative ones are refused.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if v < 0 {
		return fmt.Errorf("duration %v is negative", v)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Config describes one carrier.
type Config struct {
	Name     string    `toml:"name"`      // "docomo"
	Listen   string    `toml:"listen"`    // loopback "127.0.0.1:port"; port 0 takes a free one
	SystemID string    `toml:"system_id"` // of the SMSC, in bind responses; default Name, cut to 15 bytes
	Accounts []Account `toml:"accounts"`

	// Sources are the approved sender addresses: exact, or with * and ?.
	// Others are refused ESME_RINVSRCADR. Empty approves all.
	Sources []string `toml:"sources"`

	Latency       Duration `toml:"latency"`        // before each response
	LatencyJitter Duration `toml:"latency_jitter"` // at most so much is added by chance
	Rate          float64  `toml:"rate"`           // submit_sm a second and carrier; over it ESME_RTHROTTLED; 0 is no limit
	Window        int      `toml:"window"`         // unanswered submit_sm a session; over it ESME_RMSGQFUL; 0 is no limit
	DeliverWindow int      `toml:"deliver_window"` // unanswered deliver_sm a session; 0 is 1,000

	MessageID   string `toml:"message_id"`   // "decimal" (default), "padded" (20 digits), "hex" (16, capitals), "hex-short" or "uuid"
	ReceiptID   string `toml:"receipt_id"`   // form in receipts: "" the same, one of these for the same number, or "upper" for a uuid
	ReceiptForm string `toml:"receipt_form"` // "both" (default), "text", "tlv", "short" (id and stat alone) or "malformed"
	Packed      bool   `toml:"packed"`       // reads GSM 7 as packed septets

	BindLinger     Duration `toml:"bind_linger"`     // how long a session lost without unbind counts for max_binds
	TLSCertificate string   `toml:"tls_certificate"` // PEM file; with it and the key the port speaks TLS alone
	TLSKey         string   `toml:"tls_key"`

	ReceiptDelay Duration `toml:"receipt_delay"` // from acceptance to receipt and phone

	NoBuiltinFaults bool    `toml:"no_builtin_faults"` // numbers choose nothing; see the package comment
	Faults          []Fault `toml:"faults"`            // looked at before the built-in ones
	Spells          []Spell `toml:"spells"`            // troubles of the whole carrier, each at its time
	Script          string  `toml:"script"`            // file with more of both, see ReadScript; its owner reads it

	LedgerSize int `toml:"ledger_size"` // messages kept; default 100,000; -1 keeps, joins and decodes none
}

// Account is one system_id that may bind.
type Account struct {
	SystemID string `toml:"system_id"`
	Password string `toml:"password"`
	MaxBinds int    `toml:"max_binds"` // over it ESME_RALYBND; 0 is no limit
}

// Fault is what happens to submit_sm to some numbers. Rules of one suffix
// follow one another as their Times are over.
type Fault struct {
	Suffix string `toml:"suffix" json:"suffix"`           // of the destination, or all of it; "" is every number
	Times  int    `toml:"times" json:"times,omitempty"`   // only so many submissions to a number; 0 is all
	Status string `toml:"status" json:"status,omitempty"` // refuse with this command_status, "ESME_RTHROTTLED" or "0x58"
	Silent bool   `toml:"silent" json:"silent,omitempty"` // no response
	Lose   bool   `toml:"lose" json:"lose,omitempty"`     // not accepted, whatever else happens

	Latency Duration `toml:"latency" json:"latency,omitempty"` // of the response, added to that of the carrier
	Drop    bool     `toml:"drop" json:"drop,omitempty"`       // close the connection instead of responding
	Vanish  bool     `toml:"vanish" json:"vanish,omitempty"`   // half-open from now on: no answer to anything, not closed
	Unbind  bool     `toml:"unbind" json:"unbind,omitempty"`   // unbind after the response
	Stall   Duration `toml:"stall" json:"stall,omitempty"`     // read nothing more from this connection for so long
	Drip    Duration `toml:"drip" json:"drip,omitempty"`       // from now on pause before each byte of this connection, read or written

	MessageID    string   `toml:"message_id" json:"message_id,omitempty"`       // form of the id, as that of the carrier; "" is the carrier's, also in the receipt
	ReceiptID    string   `toml:"receipt_id" json:"receipt_id,omitempty"`       // form in the receipt, with message_id; "" the same
	State        string   `toml:"state" json:"state,omitempty"`                 // final state, default DELIVRD
	Err          string   `toml:"err" json:"err,omitempty"`                     // of the receipt, default 000
	Receipt      string   `toml:"receipt" json:"receipt,omitempty"`             // "" once, "never", "twice", "first" (before the response), "elsewhere" (on another bind)
	ReceiptForm  string   `toml:"receipt_form" json:"receipt_form,omitempty"`   // as that of the carrier; "" is the carrier's
	ReceiptText  string   `toml:"receipt_text" json:"receipt_text,omitempty"`   // the whole text, without TLVs; {id} {stat} {err} are put in
	ReceiptDelay Duration `toml:"receipt_delay" json:"receipt_delay,omitempty"` // added to that of the carrier
	DataSM       bool     `toml:"data_sm" json:"data_sm,omitempty"`             // the receipt comes as data_sm, its text as message_payload

	status pdu.Status
	next   *Fault // of the same suffix
}

var builtinFaults = []Fault{
	{Suffix: "9401", Status: "ESME_RINVDSTADR"},
	{Suffix: "9402", Status: "ESME_RSUBMITFAIL"},
	{Suffix: "9408", Status: "ESME_RSYSERR", Times: 1},
	{Suffix: "9414", Status: "ESME_RMSGQFUL", Times: 1},
	{Suffix: "9458", Status: "ESME_RTHROTTLED", Times: 2},
	{Suffix: "9500", Silent: true, Lose: true},
	{Suffix: "9501", Silent: true},
	{Suffix: "9502", Drop: true, Lose: true, Times: 1},
	{Suffix: "9503", Drop: true, Times: 1},
	{Suffix: "9504", Vanish: true, Lose: true, Times: 1},
	{Suffix: "9505", Unbind: true, Times: 1},
	{Suffix: "9506", Stall: Duration(20 * time.Second), Times: 1},
	{Suffix: "9507", Latency: Duration(3 * time.Second)},
	{Suffix: "9601", State: "UNDELIV", Err: "001"},
	{Suffix: "9602", State: "EXPIRED", Err: "002"},
	{Suffix: "9603", State: "REJECTD", Err: "003"},
	{Suffix: "9604", State: "UNKNOWN", Err: "004"},
	{Suffix: "9605", State: "DELETED", Err: "005"},
	{Suffix: "9701", Receipt: "first"},
	{Suffix: "9702", Receipt: "never"},
	{Suffix: "9703", ReceiptDelay: Duration(30 * time.Second)},
	{Suffix: "9704", Receipt: "twice"},
	{Suffix: "9705", Receipt: "elsewhere"},
	{Suffix: "9706", ReceiptForm: "malformed"},
	{Suffix: "9707", ReceiptForm: "tlv"},
	{Suffix: "9708", ReceiptForm: "text"},
	{Suffix: "9709", ReceiptText: "id:{id} stat:{stat} err:0x00{err}"},
	{Suffix: "9710", DataSM: true},
}

// states are the words of a receipt text and their message_state.
// SMPP 3.4 §5.2.28, appendix B
var states = map[string]byte{
	"ENROUTE": pdu.StateEnroute, "DELIVRD": pdu.StateDelivered, "EXPIRED": pdu.StateExpired,
	"DELETED": pdu.StateDeleted, "UNDELIV": pdu.StateUndeliverable, "ACCEPTD": pdu.StateAccepted,
	"UNKNOWN": pdu.StateUnknown, "REJECTD": pdu.StateRejected,
}

// Validate reports all faults of the configuration, each with its field.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		bad("name: missing")
	}
	if host, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen %q: %w", c.Listen, err)
	} else if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		bad("listen %q: not a loopback address", c.Listen)
	}
	if len(c.SystemID) > 15 {
		bad("system_id: %d bytes, limit 15", len(c.SystemID))
	}
	if len(c.Accounts) == 0 {
		bad("accounts: none, so nobody can bind")
	}
	for i, a := range c.Accounts {
		if a.SystemID == "" || len(a.SystemID) > 15 {
			bad("accounts[%d].system_id: %d bytes, limits 1 to 15", i, len(a.SystemID))
		}
		if len(a.Password) > 8 {
			bad("accounts[%d].password: %d bytes, limit 8", i, len(a.Password))
		}
	}
	for i, p := range c.Sources {
		if _, err := path.Match(p, ""); err != nil {
			bad("sources[%d] %q: %w", i, p, err)
		}
	}
	if (c.TLSCertificate == "") != (c.TLSKey == "") {
		bad("tls_certificate, tls_key: one without the other")
	}
	if err := checkIDs(c.MessageID, c.ReceiptID); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains(textForms, c.ReceiptForm) {
		bad("receipt_form %q: not one of %q", c.ReceiptForm, textForms)
	}
	if c.Rate < 0 {
		bad("rate %v: below zero", c.Rate)
	}
	if c.Window < 0 {
		bad("window %d: below zero", c.Window)
	}
	if c.DeliverWindow < 0 {
		bad("deliver_window %d: below zero", c.DeliverWindow)
	}
	for i := range c.Faults {
		if err := c.Faults[i].prepare(); err != nil {
			bad("faults[%d].%w", i, err)
		}
	}
	for i := range c.Spells {
		if err := c.Spells[i].prepare(); err != nil {
			bad("spells[%d].%w", i, err)
		}
	}
	return errors.Join(errs...)
}

var textForms = []string{"", "both", "text", "tlv", "short", "malformed"}

// prepare checks a fault and resolves its status.
func (f *Fault) prepare() (err error) {
	if f.Status != "" {
		if f.status, err = pdu.ParseStatus(f.Status); err != nil {
			return fmt.Errorf("status: %w", err)
		}
	}
	if _, ok := states[f.State]; f.State != "" && !ok {
		return fmt.Errorf("state %q: not one of the receipt states such as DELIVRD, UNDELIV", f.State)
	}
	if len(f.Err) > 10 {
		return fmt.Errorf("err: %d characters, limit 10", len(f.Err))
	}
	if f.ReceiptID != "" && f.MessageID == "" {
		return errors.New("receipt_id: without message_id")
	}
	if err := checkIDs(f.MessageID, f.ReceiptID); err != nil {
		return err
	}
	switch f.Receipt {
	case "", "never", "twice", "first", "elsewhere":
	default:
		return fmt.Errorf("receipt %q: not one of never, twice, first, elsewhere", f.Receipt)
	}
	if !slices.Contains(textForms, f.ReceiptForm) {
		return fmt.Errorf("receipt_form %q: not one of %q", f.ReceiptForm, textForms[1:])
	}
	if len(f.ReceiptText) > pdu.MaxShortMessage {
		return fmt.Errorf("receipt_text: %d bytes, limit %d", len(f.ReceiptText), pdu.MaxShortMessage)
	}
	if len(f.Suffix) > 20 {
		return fmt.Errorf("suffix: %d characters, limit 20", len(f.Suffix))
	}
	return nil
}

// Trouble is what ails the whole carrier. The zero value is none.
type Trouble struct {
	Down       bool     `toml:"down" json:"down"`               // closes connections and drops sessions
	Stall      bool     `toml:"stall" json:"stall"`             // keeps connections, reads nothing from them
	Vanish     bool     `toml:"vanish" json:"vanish"`           // half-open: keeps connections, also new ones, and never answers anything on them; those stay so
	Drip       Duration `toml:"drip" json:"drip"`               // pause before each byte read or written
	Silent     bool     `toml:"silent" json:"silent"`           // answers link checks, but no submit_sm, and accepts none
	Reject     string   `toml:"reject" json:"reject"`           // refuses every submit_sm with this command_status
	RejectBind string   `toml:"reject_bind" json:"reject_bind"` // refuses every bind with this command_status
	Throttle   float64  `toml:"throttle" json:"throttle"`       // submit_sm a second, when lower than the rate; 0 is none
	NoReceipts bool     `toml:"no_receipts" json:"no_receipts"` // sends no receipts; those due are lost
	Latency    Duration `toml:"latency" json:"latency"`         // added to that of the carrier

	reject, rejectBind pdu.Status
}

func (t *Trouble) prepare() (err error) {
	if t.Reject != "" {
		if t.reject, err = pdu.ParseStatus(t.Reject); err != nil {
			return fmt.Errorf("reject: %w", err)
		}
	}
	if t.RejectBind != "" {
		if t.rejectBind, err = pdu.ParseStatus(t.RejectBind); err != nil {
			return fmt.Errorf("reject_bind: %w", err)
		}
	}
	if t.Throttle < 0 {
		return fmt.Errorf("throttle %v: below zero", t.Throttle)
	}
	return nil
}

// Spell is a trouble that comes at a time of its own. It ends the one before it.
type Spell struct {
	After   Duration `toml:"after" json:"after,omitempty"` // from the start of the carrier, or from [Carrier.SetSpells]
	For     Duration `toml:"for" json:"for,omitempty"`     // 0: until the next spell, or [Carrier.SetTrouble]
	Trouble Trouble  `toml:"trouble" json:"trouble"`
}

func (s *Spell) prepare() error {
	if err := s.Trouble.prepare(); err != nil {
		return fmt.Errorf("trouble.%w", err)
	}
	return nil
}
