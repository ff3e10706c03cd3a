package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

// account is where one payment's money goes.
type account struct {
	bank, branch         string // codes: 4 and 3 digits
	bankName, branchName string
	kind                 string // 普通, 当座
	number               string // 7 digits
	holder               string
}

// place is the account's name in the pool, and what reports call it. It is stored: it never changes.
func (a *account) place() string {
	return a.bank + "-" + a.branch + "-" + kindCodes[a.kind] + "-" + a.number
}

// kindCodes are 預金種目 as 全銀 has them.
var kindCodes = map[string]string{"普通": "1", "当座": "2", "貯蓄": "4"}

// contract is an instance's configuration: config.schema.json.
type contract struct {
	Holder         string  `json:"holder"`
	QuarantineDays int     `json:"quarantine_days"`
	WholeDays      bool    `json:"whole_days"` // 入出金取引明細 and CSV files list each of their days whole
	Accounts       []block `json:"accounts"`

	places []string           // in the order of the configuration
	of     map[string]account // by place
}

// block is a run of accounts of one branch.
type block struct {
	Bank       string `json:"bank"`
	BankName   string `json:"bank_name"`
	Branch     string `json:"branch"`
	BranchName string `json:"branch_name"`
	Kind       string `json:"kind"`
	From       string `json:"from"`
	To         string `json:"to"`
}

const (
	maxAccounts       = 10_000
	defaultQuarantine = 180 // days
	maxQuarantine     = 1_000
)

var (
	bankCode   = regexp.MustCompile(`^[0-9]{4}$`)
	branchCode = regexp.MustCompile(`^[0-9]{3}$`)
	number     = regexp.MustCompile(`^[0-9]{7}$`)
)

// parseConfig reports every fault, with its field and limit.
func parseConfig(config []byte) (*contract, []*proto.Error) {
	c := &contract{QuarantineDays: defaultQuarantine, of: map[string]account{}}
	if faults := sdk.ParseConfig(config, c); faults != nil {
		return nil, faults
	}
	var faults []*proto.Error
	bad := func(field, format string, args ...any) {
		faults = append(faults, sdk.ConfigError(field, fmt.Sprintf(format, args...)))
	}
	text := func(field, v string, most int) {
		if n := utf8.RuneCountInString(v); strings.TrimSpace(v) == "" || n > most {
			bad(field, "has %d characters; want 1 to %d", n, most)
		}
	}
	text("holder", c.Holder, 40)
	if c.QuarantineDays < 1 || c.QuarantineDays > maxQuarantine {
		bad("quarantine_days", "%d; want 1 to %d", c.QuarantineDays, maxQuarantine)
	}
	if len(c.Accounts) == 0 {
		bad("accounts", "none; want at least one block")
	}
	for i := range c.Accounts {
		b, at := &c.Accounts[i], fmt.Sprintf("accounts[%d].", i)
		before := len(faults)
		if !bankCode.MatchString(b.Bank) {
			bad(at+"bank", "want 4 digits")
		}
		if !branchCode.MatchString(b.Branch) {
			bad(at+"branch", "want 3 digits")
		}
		text(at+"bank_name", b.BankName, 20)
		text(at+"branch_name", b.BranchName, 20)
		if b.Kind == "" {
			b.Kind = "普通"
		}
		if kindCodes[b.Kind] == "" {
			bad(at+"kind", "want 普通, 当座 or 貯蓄")
		}
		if b.To == "" {
			b.To = b.From
		}
		if !number.MatchString(b.From) || !number.MatchString(b.To) || b.From > b.To {
			bad(at+"from", "want 7 digits, and to 7 digits that are not below")
		}
		if len(faults) == before {
			c.add(b, at, bad)
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// add puts a block's accounts into the pool.
func (c *contract) add(b *block, at string, bad func(field, format string, args ...any)) {
	from, _ := strconv.Atoi(b.From) // seven digits
	to, _ := strconv.Atoi(b.To)
	if n := len(c.places) + to - from + 1; n > maxAccounts {
		bad(at+"to", "makes %d accounts; want %d at most", n, maxAccounts)
		return
	}
	for n := from; n <= to; n++ {
		a := account{bank: b.Bank, branch: b.Branch, bankName: b.BankName, branchName: b.BranchName, kind: b.Kind, number: fmt.Sprintf("%07d", n), holder: c.Holder}
		place := a.place()
		if _, twice := c.of[place]; twice {
			bad(at+"from", "has account ***%s of an earlier block again", a.number[4:])
			return
		}
		c.of[place] = a
		c.places = append(c.places, place)
	}
}
