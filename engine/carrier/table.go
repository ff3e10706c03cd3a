package carrier

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/kakitome/kakitome/engine/message"
)

// Table knows the carriers and which of them a number belongs to. Safe for concurrent use; a lookup allocates nothing.
type Table struct{ now atomic.Pointer[view] }

// view is one loaded state of the files; it never changes.
type view struct {
	carriers []*Carrier
	byName   map[string]*Carrier
	ranges   map[uint64]uint8 // digits behind the trunk 0, with a 1 in front so that lengths differ → carrier
	shortest int              // lengths of those digits
	longest  int
	ported   portedNumbers
	lookup   Lookup
}

// Found is a carrier and how it was found.
type Found struct {
	Carrier *Carrier
	By      string // message.ByPorted, ByModule or ByRange
}

// Open loads the files of a valid configuration.
func Open(cfg Config) (*Table, error) {
	t := new(Table)
	return t, t.Reload(cfg)
}

// Reload replaces the table. On an error the old one stays in use.
func (t *Table) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	v := &view{byName: map[string]*Carrier{}, ranges: map[uint64]uint8{}, shortest: 11, lookup: cfg.Lookup}
	for _, c := range cfg.Carriers {
		c.Senders = slices.Clone(c.Senders)
		v.carriers = append(v.carriers, &c)
		v.byName[c.Name] = &c
	}
	if err := v.readFile(cfg.Ranges, v.addRange); err != nil {
		return fmt.Errorf("load number ranges: %w", err)
	}
	if len(v.ranges) == 0 { // a file that is just being written
		return fmt.Errorf("load number ranges: %s holds no range", cfg.Ranges)
	}
	if cfg.Ported != "" {
		if err := v.readPorted(cfg.Ported, cfg.MaxPorted); err != nil {
			return fmt.Errorf("load ported numbers: %w", err)
		}
	}
	t.now.Store(v)
	return nil
}

// Carriers lists the carriers in the order of the configuration. They must not be changed.
func (t *Table) Carriers() []*Carrier { return t.now.Load().carriers }

// Carrier returns the carrier of the name.
func (t *Table) Carrier(name string) (*Carrier, bool) {
	c, ok := t.now.Load().byName[name]
	return c, ok
}

// Resolve returns the carrier of a number: by the table of ported numbers, else by the longest range.
func (t *Table) Resolve(n Number) (Found, bool) {
	v := t.now.Load()
	if i, ok := v.ported.find(n); ok {
		return Found{v.carriers[i], message.ByPorted}, true
	}
	rest := n.n
	for digits := 10; digits >= v.shortest; digits-- {
		if digits <= v.longest {
			if i, ok := v.ranges[rest+pow10[digits]]; ok {
				return Found{v.carriers[i], message.ByRange}, true
			}
		}
		rest /= 10
	}
	return Found{}, false
}

var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}

// Asks reports whether a module is asked about numbers.
func (t *Table) Asks() bool { return t.now.Load().lookup.Module != "" }

// readFile reads lines "digits,carrier", with # comments, and gives each to add: the digits behind the trunk 0 as a number,
// and how many they are. An error names file and line; a value in it is masked, for it may be a person's number.
func (v *view) readFile(path string, add func(n uint64, digits int, carrier uint8) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return v.read(f, path, add)
}

func (v *view) read(r io.Reader, name string, add func(n uint64, digits int, carrier uint8) error) error {
	sc := bufio.NewScanner(r)
	n := 0
	for sc.Scan() {
		n++
		line := sc.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		line, _, _ = bytes.Cut(line, []byte{'#'})
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		left, right, two := bytes.Cut(line, []byte{','})
		left, right = bytes.TrimSpace(left), bytes.TrimSpace(right)
		i := slices.IndexFunc(v.carriers, func(c *Carrier) bool { return c.Name == string(right) })
		number, digits, ok := mobile(left)
		var err error
		switch {
		case !two:
			err = fmt.Errorf("has one column, %q: digits and carrier are needed", message.Mask(string(left)))
		case i < 0:
			err = fmt.Errorf("there is no carrier %q", shown(string(right)))
		case !ok:
			err = fmt.Errorf("column 1, %q, must be 4 to 11 digits of a mobile number, beginning with 060, 070, 080 or 090", message.Mask(string(left)))
		case isSimulated(number/pow10[digits-3]) != v.carriers[i].Simulated:
			if v.carriers[i].Simulated {
				err = fmt.Errorf("%s… can belong to people, but carrier %q is marked simulated", left[:4], right)
			} else {
				err = fmt.Errorf("%s… is a simulated block, but carrier %q is not marked simulated", left[:4], right)
			}
		default:
			err = add(number, digits, uint8(i))
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return nil
}

// shown is what stands in the place of a carrier's name, masked where it may be a number instead.
func shown(s string) string {
	if carrierName.MatchString(s) && strings.Trim(s, "0123456789") != "" {
		return s
	}
	return message.Mask(s)
}

// mobile reads 4 to 11 ASCII digits that begin a mobile number, and gives those behind the trunk 0. It is what [classify]
// says of them without an allocation: ten million lines are read at each reload.
func mobile(b []byte) (n uint64, digits int, ok bool) {
	if len(b) < 4 || len(b) > 11 || b[0] != '0' || b[2] != '0' || b[1] < '6' || b[1] > '9' {
		return 0, 0, false
	}
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if b[3] == '0' && (b[1] == '6' || b[1] == '8') { // 0600, 0800
		return 0, 0, false
	}
	return n, len(b) - 1, true
}

func (v *view) addRange(n uint64, digits int, carrier uint8) error {
	key := n + pow10[digits]
	if have, twice := v.ranges[key]; twice && have != carrier {
		return fmt.Errorf("a range of %d digits is given to %s and %s", digits+1, v.carriers[have].Name, v.carriers[carrier].Name)
	}
	v.ranges[key] = carrier
	v.shortest, v.longest = min(v.shortest, digits), max(v.longest, digits)
	return nil
}
