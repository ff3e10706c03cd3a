package carrier

import (
	"errors"
	"fmt"
	"regexp"
)

// Config is the operator's part of this package. All of it may be reloaded.
type Config struct {
	// Ranges is a CSV file of number ranges: prefix,carrier. Required.
	Ranges string `toml:"ranges"`
	// Ported is a CSV file of ported numbers: number,carrier. Empty: none.
	Ported string `toml:"ported"`
	// MaxPorted bounds the rows of the table of ported numbers (4 bytes each in memory). Default 20,000,000.
	MaxPorted int       `toml:"max_ported"`
	Carriers  []Carrier `toml:"carrier"`
	// Lookup is the module that is asked which carrier a number has now, and whether it changed hands.
	Lookup Lookup `toml:"lookup"`
}

// Carrier is one mobile carrier.
type Carrier struct {
	Name    string `toml:"name"`     // docomo, au, softbank, rakuten: 1 to 16 of a-z, 0-9; in records and metric labels
	LabelJA string `toml:"label_ja"` // as people know it; default the name
	LabelEN string `toml:"label_en"` // on English screens; default label_ja
	// Simulated carriers take only numbers of the unassigned blocks, all others only real ones.
	Simulated bool `toml:"simulated"`
	// Senders lists the forms of address that it permits: phone, individual, common, code0005. At least one.
	Senders []AddressForm `toml:"senders"`
	// IDRule says how it writes message ids in submit_sm_resp and in delivery receipts, in the words of engine/dlr's
	// ParseIDRule, which checks it: "text", "fold", "decimal", "hex/decimal" … Default text.
	IDRule string `toml:"id_rule"`
	// MaxSegments is how many segments it takes for one text, 1 to 10. Default 10 (660 characters).
	MaxSegments int `toml:"max_segments"`
}

// AddressForm is a form of sender address.
type AddressForm string

const (
	FormPhone      AddressForm = "phone"      // an approved domestic number of 10 or 11 digits, 0570 and 0120 included
	FormIndividual AddressForm = "individual" // 5 or 6 digits issued to one sender (SoftBank)
	FormCommon     AddressForm = "common"     // a 10-digit number issued to the aggregator (SoftBank); does not begin with 0
	Form0005       AddressForm = "code0005"   // the carriers' common short codes, 0005 and 4 to 6 digits
)

var formPatterns = map[AddressForm]*regexp.Regexp{
	FormPhone:      regexp.MustCompile(`^0[1-9][0-9]{8,9}$`),
	FormIndividual: regexp.MustCompile(`^[1-9][0-9]{4,5}$`),
	FormCommon:     regexp.MustCompile(`^[1-9][0-9]{9}$`),
	Form0005:       regexp.MustCompile(`^0005[0-9]{4,6}$`),
}

// Label is the carrier's name for people who read a language, ja or en.
func (c *Carrier) Label(lang string) string {
	if lang == "en" && c.LabelEN != "" {
		return c.LabelEN
	}
	if c.LabelJA != "" {
		return c.LabelJA
	}
	return c.Name
}

// Segments is how many segments a text may have.
func (c *Carrier) Segments() int {
	if c.MaxSegments == 0 {
		return 10
	}
	return c.MaxSegments
}

// Box is the configuration of a rehearsal: the four carriers, simulated, with the sender rules of the real ones.
func Box(ranges string) Config {
	phone := []AddressForm{FormPhone, Form0005}
	return Config{Ranges: ranges, MaxPorted: defaultMaxPorted, Carriers: []Carrier{
		{Name: "docomo", LabelJA: "NTTドコモ", LabelEN: "NTT docomo", Simulated: true, Senders: phone},
		{Name: "au", LabelJA: "au", Simulated: true, Senders: phone},
		{Name: "softbank", LabelJA: "SoftBank", Simulated: true, Senders: []AddressForm{FormIndividual, FormCommon, Form0005}},
		{Name: "rakuten", LabelJA: "楽天モバイル", LabelEN: "Rakuten Mobile", Simulated: true, Senders: phone},
	}}
}

const defaultMaxPorted = 20_000_000

var carrierName = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// Validate reports all faults, each naming its field.
func (c *Config) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if c.Ranges == "" {
		bad("ranges", "is required")
	}
	if c.MaxPorted < 0 {
		bad("max_ported", "%d must not be negative", c.MaxPorted)
	}
	c.Lookup.validate(bad)
	if len(c.Carriers) == 0 || len(c.Carriers) > 64 {
		bad("carrier", "has %d entries, 1 to 64 are allowed", len(c.Carriers))
	}
	seen := map[string]bool{}
	for i, cr := range c.Carriers {
		field := fmt.Sprintf("carrier[%d].", i)
		if !carrierName.MatchString(cr.Name) {
			bad(field+"name", "%q must be 1 to 16 of a-z and 0-9", cr.Name)
		}
		if seen[cr.Name] {
			bad(field+"name", "%q stands there twice", cr.Name)
		}
		seen[cr.Name] = true
		if len(cr.Senders) == 0 {
			bad(field+"senders", "is required: phone, individual, common, code0005")
		}
		for _, f := range cr.Senders {
			if formPatterns[f] == nil {
				bad(field+"senders", "%q must be phone, individual, common or code0005", f)
			}
		}
		if cr.MaxSegments < 0 || cr.MaxSegments > 10 {
			bad(field+"max_segments", "%d must be 1 to 10", cr.MaxSegments)
		}
	}
	return errors.Join(errs...)
}
