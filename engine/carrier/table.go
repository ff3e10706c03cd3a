package carrier

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
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
}

// Found is a carrier and how it was found.
type Found struct {
	Carrier *Carrier
	By      string // "ported" or "range", as in message.Lookup
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
	v := &view{byName: map[string]*Carrier{}, ranges: map[uint64]uint8{}, shortest: 11}
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
		v.ported.limit = cfg.MaxPorted
		if v.ported.limit == 0 {
			v.ported.limit = defaultMaxPorted
		}
		err := v.readFile(cfg.Ported, v.addPorted)
		if err == nil {
			err = v.ported.settle()
		}
		if err != nil {
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
		return Found{v.carriers[i], "ported"}, true
	}
	rest := n.n
	for digits := 10; digits >= v.shortest; digits-- {
		if digits <= v.longest {
			if i, ok := v.ranges[rest+pow10[digits]]; ok {
				return Found{v.carriers[i], "range"}, true
			}
		}
		rest /= 10
	}
	return Found{}, false
}

var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}

// readFile reads lines "digits,carrier", with # comments, and gives the digits behind the trunk 0.
func (v *view) readFile(path string, add func(digits string, carrier uint8) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return v.read(f, path, add)
}

func (v *view) read(r io.Reader, name string, add func(digits string, carrier uint8) error) error {
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		left, right, two := strings.Cut(line, ",")
		digits, right := strings.TrimSpace(left), strings.TrimSpace(right)
		i := slices.IndexFunc(v.carriers, func(c *Carrier) bool { return c.Name == right })
		var err error
		switch {
		case !two:
			err = fmt.Errorf("has one column, digits and carrier are needed")
		case i < 0:
			err = fmt.Errorf("there is no carrier %q", right)
		case len(digits) < 4 || len(digits) > 11 || strings.Trim(digits, "0123456789") != "" || !mobile(digits):
			err = fmt.Errorf("column 1 must be 4 to 11 digits of a mobile number, beginning with 060, 070, 080 or 090")
		case isSimulated(prefixNumber(digits[1:4])) != v.carriers[i].Simulated:
			if v.carriers[i].Simulated {
				err = fmt.Errorf("%s… can belong to people, but carrier %q is marked simulated", digits[:4], right)
			} else {
				err = fmt.Errorf("%s… is a simulated block, but carrier %q is not marked simulated", digits[:4], right)
			}
		default:
			err = add(digits[1:], uint8(i))
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// mobile reports whether digits, with the trunk 0, begin a mobile number.
func mobile(digits string) bool { return classify((digits + "0000000")[:11]) == "" }

func prefixNumber(digits string) (n uint64) {
	for _, c := range []byte(digits) {
		n = n*10 + uint64(c-'0')
	}
	return n
}

func (v *view) addRange(digits string, carrier uint8) error {
	key := prefixNumber(digits) + pow10[len(digits)]
	if have, twice := v.ranges[key]; twice && have != carrier {
		return fmt.Errorf("0%s… is given to %s and %s", digits, v.carriers[have].Name, v.carriers[carrier].Name)
	}
	v.ranges[key] = carrier
	v.shortest, v.longest = min(v.shortest, len(digits)), max(v.longest, len(digits))
	return nil
}

func (v *view) addPorted(digits string, carrier uint8) error {
	if len(digits) != 10 {
		return fmt.Errorf("a ported number has 11 digits, this has %d", len(digits)+1)
	}
	if len(v.ported.keys) >= v.ported.limit {
		return fmt.Errorf("has more than max_ported = %d rows", v.ported.limit)
	}
	v.ported.keys = append(v.ported.keys, portedKey(prefixNumber(digits)))
	v.ported.owners = append(v.ported.owners, carrier)
	return nil
}

// portedNumbers is a sorted array, five bytes a number: ten million are 50 MB and found in 24 steps.
type portedNumbers struct {
	keys   []uint32
	owners []uint8
	limit  int
}

// portedKey squeezes the ten digits behind the trunk 0 into 32 bits: the first is 6 to 9, the second always 0.
func portedKey(n uint64) uint32 { return uint32((n/1e9-6)*1e8 + n%1e8) }

func (p *portedNumbers) find(n Number) (uint8, bool) {
	if len(p.keys) == 0 || n.IsZero() {
		return 0, false
	}
	i, ok := slices.BinarySearch(p.keys, portedKey(n.n))
	if !ok {
		return 0, false
	}
	return p.owners[i], true
}

// settle sorts what was read, gives back spare memory and refuses a number that stands there twice.
func (p *portedNumbers) settle() error {
	if !sort.IsSorted(p) {
		sort.Sort(p)
	}
	for i := 1; i < len(p.keys); i++ {
		if p.keys[i] == p.keys[i-1] {
			return fmt.Errorf("a number ending in %04d stands there twice", p.keys[i]%10000)
		}
	}
	p.keys, p.owners = slices.Clip(slices.Clone(p.keys)), slices.Clip(slices.Clone(p.owners))
	return nil
}

func (p *portedNumbers) Len() int           { return len(p.keys) }
func (p *portedNumbers) Less(i, j int) bool { return p.keys[i] < p.keys[j] }
func (p *portedNumbers) Swap(i, j int) {
	p.keys[i], p.keys[j] = p.keys[j], p.keys[i]
	p.owners[i], p.owners[j] = p.owners[j], p.owners[i]
}
