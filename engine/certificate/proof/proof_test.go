package proof

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kakitome/kakitome/engine/private"
)

var update = flag.Bool("update", false, "write the golden files of format 1 anew")

// signer is a key that is the same in each run.
func signer(n byte) *PrivateKey {
	seed := sha256.Sum256([]byte{n})
	return &PrivateKey{ed25519.NewKeyFromSeed(seed[:])}
}

func at(minutes int) time.Time {
	return time.Date(2026, 11, 28, 1, minutes, 7, 123456789, time.UTC)
}

// sample is a certificate of a message with a claim: two days are closed, an event of the third is not.
func sample(t testing.TB) (*Certificate, *Published, []PublicKey) {
	key := signer(1)
	secret := []byte("the blind of the content, 32 byte")[:32]
	text, page := Open(secret, PartText, "お知らせです。{url}"), Open(secret, PartPage, `{"page":{"title":"債権譲渡通知"}}`)
	c := &Certificate{Version: 1, Made: at(59), Tenant: Sender{"suido", "〇〇県水道局"}, Message: "01M80PYPYK9JPV5YF8YH5F691F",
		Clock:   Clock{State: Synchronised, Source: "ntp.example.jp (chrony)", Offset: -12 * time.Microsecond, Estimated: 50 * time.Microsecond, Maximum: 2 * time.Millisecond, At: at(59)},
		Content: []Opening{text, page},
		Streams: []Stream{
			{Kind: "message", ID: "01M80PYPYK9JPV5YF8YH5F691F", Events: []Event{
				{N: 1, Type: "accepted", At: at(1), Fields: map[string]string{"no": "20261128000000041", "class": "legal_notice", "to": "090-****-2345", "claim": "01M80PYPYK9JPV5YF8YH5F6920",
					"content_text": text.Commitment().String(), "content_page": page.Commitment().String()}},
				{N: 2, Type: "submitting", At: at(2), Fields: map[string]string{"part": "1", "carrier": "docomo"}},
				{N: 3, Type: "submitted", At: at(2), Fields: map[string]string{"part": "1", "smsc_id": "0a1b2c"}},
				{N: 4, Type: "delivered", At: at(3), Fields: map[string]string{"part": "1", "state": "DELIVRD"}},
				{N: 5, Type: "opened", At: at(24*60 + 1)},
				{N: 6, Type: "identified", At: at(24*60 + 2)},
				{N: 7, Type: "viewed", At: at(24*60*2 + 1)},
			}},
			{Kind: "claim", ID: "01M80PYPYK9JPV5YF8YH5F6920", Events: []Event{
				{N: 1, Type: "made", At: at(1), Fields: map[string]string{"number": "2026-000001", "amount": "7440"}},
			}},
		}}
	for i := range c.Streams {
		Chain(c.Tenant.ID, &c.Streams[i], sha256.Sum256([]byte(c.Streams[i].ID)))
	}
	p := &Published{byDay: map[string]*Line{}}
	others := []Hash{{1}, {2}, {3}, {4}, {5}}
	seal := func(day string, n map[int]uint32) {
		all := append([]Hash{}, others...)
		index := map[int]int{}
		for i := range c.Streams {
			if n[i] > 0 {
				l := Leaf{c.Streams[i].Kind, c.Streams[i].ID, n[i], c.Streams[i].Events[n[i]-1].Digest}
				index[i] = len(all)
				all = append(all, l.Hash())
			}
		}
		l := &Line{Day: day, Streams: uint64(len(all)), Root: Root(all), Prev: p.Head(), Clock: c.Clock}
		l.Sign(key)
		l, err := ParseLine(l.String())
		require.NoError(t, err)
		require.NoError(t, p.add(l))
		for i, at := range index {
			c.Streams[i].Days = append(c.Streams[i].Days, Day{Events: n[i], Index: uint64(at), Path: Path(all, at), Line: l.String()})
		}
	}
	seal("2026-11-28", map[int]uint32{0: 4, 1: 1})
	seal("2026-11-29", map[int]uint32{0: 6})
	seal("2026-11-30", nil)
	require.NoError(t, c.Sign(key))
	return c, p, []PublicKey{key.Public()}
}

func clone(t testing.TB, c *Certificate) *Certificate {
	b, err := c.Encode()
	require.NoError(t, err)
	out, err := Parse(b)
	require.NoError(t, err)
	return out
}

func TestWhatWasNotChangedVerifies(t *testing.T) {
	c, p, keys := sample(t)
	r := Verify(clone(t, c), Options{Published: p, Keys: keys})
	require.Nil(t, r.Fault)
	require.Equal(t, 7, r.Closed)
	require.Equal(t, 1, r.Open)
	require.True(t, r.Trusted && r.InFile && r.Signed)
	require.False(t, r.Whole(), "an event is open")
	require.Equal(t, []string{PartText, PartPage}, r.Contents)
	require.Len(t, r.Clocks, 3)

	c.Streams[0].Events = c.Streams[0].Events[:6]
	require.NoError(t, c.Sign(signer(1)))
	require.True(t, Verify(clone(t, c), Options{Published: p, Keys: keys}).Whole())
	require.False(t, Verify(clone(t, c), Options{}).Whole(), "the keys are those that came with it")
}

// Every field of every event is changed, and the event is named.
func TestChangedEventIsNamed(t *testing.T) {
	c, p, keys := sample(t)
	for s := range c.Streams {
		for n := range c.Streams[s].Events {
			changes := map[string]func(e *Event){
				"n":      func(e *Event) { e.N++ },
				"type":   func(e *Event) { e.Type = "delivered2" },
				"at":     func(e *Event) { e.At = e.At.Add(time.Nanosecond) },
				"salt":   func(e *Event) { e.Salt[31] ^= 1 },
				"digest": func(e *Event) { e.Digest[0] ^= 1 },
				"more":   func(e *Event) { e.Fields = map[string]string{"more": "x"} },
			}
			for name := range c.Streams[s].Events[n].Fields {
				changes[name+" changed"] = func(e *Event) { e.Fields[name] += "x" }
				changes[name+" gone"] = func(e *Event) { delete(e.Fields, name) }
				changes[name+" renamed"] = func(e *Event) { e.Fields[name+"x"] = e.Fields[name]; delete(e.Fields, name) }
			}
			for what, change := range changes {
				bad := clone(t, c)
				e := &bad.Streams[s].Events[n]
				change(e)
				f := Verify(bad, Options{Published: p, Keys: keys}).Fault
				require.NotNil(t, f, "%s of event %d", what, n+1)
				require.Equal(t, []any{OfEvent, c.Streams[s].Kind, uint32(n + 1), e.Type}, []any{f.Of, f.Stream, f.N, f.Type}, "%s of event %d: %v", what, n+1, f)
			}
		}
	}
	for name, change := range map[string]func(events []Event) []Event{
		"taken out": func(e []Event) []Event { return append(e[:2:2], e[3:]...) },
		"swapped":   func(e []Event) []Event { e[2], e[3] = e[3], e[2]; return e },
		"put in":    func(e []Event) []Event { return append(e[:2:2], append([]Event{e[2]}, e[2:]...)...) },
	} {
		bad := clone(t, c)
		bad.Streams[0].Events = change(bad.Streams[0].Events)
		f := Verify(bad, Options{Keys: keys}).Fault
		require.NotNil(t, f, name)
		require.Equal(t, OfEvent, f.Of, name)
		require.Contains(t, []uint32{3, 4}, f.N, name)
	}
}

// An event that is changed and digested anew, with all that follow, no longer leads to the root: the day is named, and from
// which event on.
func TestForgedChainMissesTheRoot(t *testing.T) {
	c, p, keys := sample(t)
	for n := range 6 {
		bad := clone(t, c)
		bad.Streams[0].Events[n].At = bad.Streams[0].Events[n].At.Add(-time.Nanosecond)
		if n == 2 { // not before event 2
			bad.Streams[0].Events[n].At = bad.Streams[0].Events[n].At.Add(2 * time.Nanosecond)
		}
		Chain("suido", &bad.Streams[0], sha256.Sum256([]byte(bad.Streams[0].ID)))
		f := Verify(bad, Options{Published: p, Keys: keys}).Fault
		require.NotNil(t, f)
		day := "2026-11-28"
		if n >= 4 {
			day = "2026-11-29"
			require.Contains(t, f.Error(), "events 5 to 6")
		}
		require.Equal(t, OfProof, f.Of, f.Error())
		require.Equal(t, day, f.Day)
	}
}

func TestChangedProofIsNamed(t *testing.T) {
	c, p, keys := sample(t)
	for s := range c.Streams {
		for d := range c.Streams[s].Days {
			day := []string{"2026-11-28", "2026-11-29"}[d]
			check := func(what string, of []string, change func(d *Day)) {
				bad := clone(t, c)
				change(&bad.Streams[s].Days[d])
				f := Verify(bad, Options{Published: p, Keys: keys}).Fault
				require.NotNil(t, f, what)
				require.Contains(t, of, f.Of, "%s: %v", what, f)
				if f.Of != OfLine {
					require.Equal(t, day, f.Day, "%s: %v", what, f)
				}
			}
			for i := range c.Streams[s].Days[d].Path {
				check(fmt.Sprint("hash ", i), []string{OfProof}, func(d *Day) { d.Path[i][7] ^= 1 })
			}
			check("a hash less", []string{OfProof}, func(d *Day) { d.Path = d.Path[1:] })
			check("a hash more", []string{OfProof}, func(d *Day) { d.Path = append(d.Path, Hash{}) })
			check("index", []string{OfProof}, func(d *Day) { d.Index-- })
			check("index beyond", []string{OfProof}, func(d *Day) { d.Index = 99 })
			check("events", []string{OfProof}, func(d *Day) { d.Events-- })
			check("events beyond", []string{OfProof}, func(d *Day) { d.Events = 99 })
			line := c.Streams[s].Days[d].Line
			for i := range line { // each character
				if line[i] == ' ' {
					continue
				}
				other := byte('1')
				if line[i] == other {
					other = '2'
				}
				bad := clone(t, c)
				bad.Streams[s].Days[d].Line = line[:i] + string(other) + line[i+1:]
				f := Verify(bad, Options{Published: p, Keys: keys}).Fault
				require.NotNil(t, f, "character %d", i)
				require.Contains(t, []string{OfLine, OfSignature, OfKey}, f.Of, "character %d: %v", i, f)
			}
		}
	}
}

// A line that somebody signed anew with another key, or with the right key for another root, is not the published one.
func TestOtherRootIsNamed(t *testing.T) {
	c, p, keys := sample(t)
	forge := func(key *PrivateKey) *Certificate {
		bad := clone(t, c)
		bad.Streams[0].Events[3].Fields["state"] = "UNDELIV"
		Chain("suido", &bad.Streams[0], Hash{})
		for i := range bad.Streams[0].Days {
			d := &bad.Streams[0].Days[i]
			l, err := ParseLine(d.Line)
			require.NoError(t, err)
			leaf := Leaf{"message", bad.Message, d.Events, bad.Streams[0].Events[d.Events-1].Digest}
			l.Root, _ = rootOf(leaf.Hash(), d.Index, l.Streams, d.Path)
			l.Sign(key)
			d.Line = l.String()
		}
		bad.Streams = bad.Streams[:1]
		bad.Keys = nil
		require.NoError(t, bad.Sign(key))
		return clone(t, bad)
	}
	f := Verify(forge(signer(1)), Options{Published: p, Keys: keys}).Fault
	require.Equal(t, []string{OfRoot, "2026-11-28"}, []string{f.Of, f.Day}, "who has the key still cannot change what was published")
	f = Verify(forge(signer(2)), Options{Published: p, Keys: keys}).Fault
	require.Equal(t, OfKey, f.Of)
	require.Nil(t, Verify(forge(signer(2)), Options{}).Fault, "which is why keys are given")
	f = Verify(forge(signer(2)), Options{Published: p}).Fault
	require.Equal(t, OfRoot, f.Of)
}

func TestWhatBelongsToNoEventIsNamed(t *testing.T) {
	c, p, keys := sample(t)
	for what, change := range map[string]func(c *Certificate){
		"made":           func(c *Certificate) { c.Made = c.Made.Add(1) },
		"clock":          func(c *Certificate) { c.Clock.State = Unsynchronised },
		"name":           func(c *Certificate) { c.Tenant.Name = "別の局" },
		"signature":      func(c *Certificate) { c.Signature[0] ^= 1 },
		"no signature":   func(c *Certificate) { c.Signature = nil },
		"message":        func(c *Certificate) { c.Message = c.Message[:25] + "X" },
		"no streams":     func(c *Certificate) { c.Streams = nil },
		"claim left out": func(c *Certificate) { c.Streams = c.Streams[:1] },
		"days left out":  func(c *Certificate) { c.Streams[0].Days = nil },
		"content gone":   func(c *Certificate) { c.Content = nil },
		"no events":      func(c *Certificate) { c.Streams[0].Events = nil },
	} {
		bad := clone(t, c)
		change(bad)
		f := Verify(bad, Options{Published: p, Keys: keys}).Fault
		require.NotNil(t, f, what)
		require.Equal(t, OfCertificate, f.Of, what)
	}
	bad := clone(t, c)
	bad.Tenant.ID = "mizu"
	require.Equal(t, uint32(1), Verify(bad, Options{Keys: keys}).Fault.N)
	bad = clone(t, c)
	bad.Streams[1].ID = c.Message
	Chain("suido", &bad.Streams[1], Hash{})
	require.Contains(t, Verify(bad, Options{Keys: keys}).Fault.Error(), "claim is not that of the message")
	bad = clone(t, c)
	bad.Keys[0].ID = strings.Repeat("0", 16)
	require.Equal(t, OfKey, Verify(bad, Options{}).Fault.Of)
	for what, change := range map[string]func(o *Opening){
		"plain": func(o *Opening) { o.Plain += "。" }, "part": func(o *Opening) { o.Part = PartNumber }, "blind": func(o *Opening) { o.Blind[0] ^= 1 },
	} {
		bad := clone(t, c)
		change(&bad.Content[0])
		require.Equal(t, OfContent, Verify(bad, Options{Keys: keys}).Fault.Of, what)
	}
}

func TestPublishedFile(t *testing.T) {
	_, p, keys := sample(t)
	var lines []string
	for _, l := range p.Lines {
		lines = append(lines, l.String()+"\n")
	}
	text := func(lines ...string) []byte { return []byte(strings.Join(lines, "")) }
	known := map[string]PublicKey{keys[0].ID: keys[0]}
	check := func(data []byte) *Fault {
		p, err := ParsePublished(data)
		if err != nil {
			return err.(*Fault)
		}
		return p.verify(known, true)
	}
	require.Nil(t, check(text(lines...)))
	require.Nil(t, check(nil))
	require.Equal(t, 1, check(text(lines[1:]...)).Line, "the beginning is missing")
	require.Equal(t, 2, check(text(lines[0], lines[2])).Line, "a line is missing")
	require.Equal(t, 3, check(text(lines[0], lines[1], lines[1])).Line)
	require.Equal(t, 2, check(text(lines[0], lines[2], lines[1])).Line)
	require.Equal(t, 3, check(text(lines[0], lines[1], lines[2][:100])).Line, "cut off")
	all := string(text(lines...))
	for i := range all { // each character of each line
		if all[i] == '\n' || all[i] == ' ' {
			continue
		}
		other := "1"
		if all[i] == '1' {
			other = "2"
		}
		f := check([]byte(all[:i] + other + all[i+1:]))
		require.NotNil(t, f, "character %d", i)
		line := 1 + strings.Count(all[:i], "\n")
		require.Contains(t, []int{line, line + 1}, f.Line, "character %d: %v", i, f)
	}
	// Rewriting a line and all that follow needs the key.
	forged, _ := ParsePublished(text(lines...))
	forged.Lines[1].Streams++
	forged.Lines[1].Sign(signer(2))
	forged.Lines[2].Prev = forged.Lines[1].Hash()
	forged.Lines[2].Sign(signer(2))
	f := check(text(lines[0], forged.Lines[1].String()+"\n", forged.Lines[2].String()+"\n"))
	require.Equal(t, 2, f.Line)
	require.Contains(t, f.What, "not among the keys")
}

// RFC 9162 §2.1.5 has an example of seven leaves; here the proofs of all trees up to 40 are checked, and no proof fits elsewhere.
func TestProofsOfAllSizes(t *testing.T) {
	var leaves []Hash
	require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Root(nil).String())
	for n := 1; n <= 40; n++ {
		leaves = append(leaves, sha256.Sum256([]byte{byte(n)}))
		root := Root(leaves)
		for i := range leaves {
			path := Path(leaves, i)
			got, ok := rootOf(leaves[i], uint64(i), uint64(n), path)
			require.True(t, ok)
			require.Equal(t, root, got)
			for j := range leaves {
				if j != i {
					got, ok := rootOf(leaves[i], uint64(j), uint64(n), path)
					require.False(t, ok && got == root, "leaf %d of %d at %d", i, n, j)
				}
			}
		}
	}
}

// Whatever the events are: they verify, and one changed bit of the file that changes what it says does not.
func TestAnyEventsVerify(t *testing.T) {
	words := rapid.StringN(0, 8, 40)
	rapid.Check(t, func(r *rapid.T) {
		s := Stream{Kind: "message", ID: "01M80PYPYK9JPV5YF8YH5F691F"}
		now := at(0)
		for i := range rapid.IntRange(1, 12).Draw(r, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 1e12).Draw(r, "pause")))
			s.Events = append(s.Events, Event{N: uint32(i + 1), Type: words.Draw(r, "type"), At: now, Fields: rapid.MapOfN(words, words, 0, 4).Draw(r, "fields")})
		}
		Chain("suido", &s, Hash{9})
		c := &Certificate{Version: 1, Tenant: Sender{ID: "suido"}, Message: s.ID, Streams: []Stream{s}}
		require.NoError(t, c.Sign(signer(1)))
		b, err := c.Encode()
		require.NoError(t, err)
		back, err := Parse(b)
		require.NoError(t, err)
		require.Nil(t, Verify(back, Options{}).Fault)
		n := rapid.IntRange(0, len(s.Events)-1).Draw(r, "changed")
		back.Streams[0].Events[n].At = back.Streams[0].Events[n].At.Add(-1)
		f := Verify(back, Options{}).Fault
		require.NotNil(t, f)
		require.Equal(t, uint32(n+1), f.N)
	})
}

// Two events never have the same canonical form: lengths stand before texts.
func TestCanonicalFormIsOneToOne(t *testing.T) {
	forms := map[string]bool{}
	for _, e := range []Event{
		{Type: "ab"}, {Type: "a", Fields: map[string]string{"b": ""}}, {Type: "a", Fields: map[string]string{"": "b"}},
		{Type: "a", Fields: map[string]string{"b": "c", "d": ""}}, {Type: "a", Fields: map[string]string{"b": "", "cd": ""}},
		{Type: "a", Fields: map[string]string{"b": "cd"}}, {Type: "a", Fields: map[string]string{"bc": "d"}},
	} {
		forms[string(e.canonical())] = true
	}
	require.Len(t, forms, 7)
}

// TestFormatOne: certificates and published files of format 1 that exist must always verify. -update only before a release.
func TestFormatOne(t *testing.T) {
	files := map[string]string{"certificate": filepath.Join("testdata", "certificate-1.json"), "published": filepath.Join("testdata", "published-1.txt"), "keys": filepath.Join("testdata", "keys-1.pub")}
	c, p, keys := sample(t)
	b, err := c.Encode()
	require.NoError(t, err)
	var lines strings.Builder
	for _, l := range p.Lines {
		lines.WriteString(l.String() + "\n")
	}
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(files["certificate"], b, 0o644))
		require.NoError(t, os.WriteFile(files["published"], []byte(lines.String()), 0o644))
		require.NoError(t, os.WriteFile(files["keys"], []byte("# key of the tests\n"+keys[0].String()+"\n"), 0o644))
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(files[name])
		require.NoError(t, err)
		return b
	}
	require.Equal(t, string(b), string(read("certificate")), "what is made today is format 1")
	require.Equal(t, lines.String(), string(read("published")))
	got, err := Parse(read("certificate"))
	require.NoError(t, err)
	published, err := ParsePublished(read("published"))
	require.NoError(t, err)
	trusted, err := ParseKeys(read("keys"))
	require.NoError(t, err)
	r := Verify(got, Options{Published: published, Keys: trusted})
	require.Nil(t, r.Fault)
	require.Equal(t, 7, r.Closed)
}

func TestOtherFilesAreRefused(t *testing.T) {
	c, _, _ := sample(t)
	b, err := c.Encode()
	require.NoError(t, err)
	for what, data := range map[string]string{
		"empty": "", "text": "x", "another": `{"v":1}`, "the future": `{"kakitome_certificate":2}`,
		"unknown member": strings.Replace(string(b), `"made"`, `"more": 1, "made"`, 1),
		"given twice":    strings.Replace(string(b), `"made"`, `"message": "x", "made"`, 1),
		"field twice":    strings.Replace(string(b), `"part": "1"`, `"part": "1", "part": "2"`, 1),
		"short hash":     strings.Replace(string(b), c.Streams[0].Events[0].Salt.String(), "00", 1),
		"large hash":     strings.Replace(string(b), c.Streams[0].Events[0].Salt.String(), strings.ToUpper(c.Streams[0].Events[0].Salt.String()), 1),
		"behind the end": string(b) + "{}",
		"too large":      string(b) + strings.Repeat(" ", MaxFile),
	} {
		_, err := Parse([]byte(data))
		require.Error(t, err, what)
	}
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "certificate.key")
	_, err := NewKey(path, true, at(0))
	require.Error(t, err, "there is nothing to replace")
	first, err := NewKey(path, false, at(0))
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	k, err := ReadKey(path)
	require.NoError(t, err)
	require.Equal(t, first.ID, k.Public().ID)
	_, err = NewKey(path, false, at(1))
	require.ErrorContains(t, err, "-rotate")
	second, err := NewKey(path, true, at(1))
	require.NoError(t, err)
	data, err := os.ReadFile(PublicFile(path))
	require.NoError(t, err)
	keys, err := ParseKeys(data)
	require.NoError(t, err)
	require.Equal(t, []string{first.ID, second.ID}, []string{keys[0].ID, keys[1].ID}, "old public keys stay listed")
	secret, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(data), strings.TrimSpace(string(secret)))

	require.NoError(t, os.Chmod(path, 0o644))
	_, err = ReadKey(path)
	require.ErrorIs(t, err, private.ErrReadable)
	_, err = ParseKeys([]byte(strings.Replace(first.String(), first.ID, second.ID, 1)))
	require.ErrorContains(t, err, "line 1")
	require.NoError(t, os.WriteFile(path+"2", []byte("x"), 0o600))
	_, err = ReadKey(path + "2")
	require.Error(t, err)
}

func TestUnsynchronisedClockIsSaid(t *testing.T) {
	for _, c := range []struct{ state, ja, en string }{
		{Synchronised, "同期済み", "synchronised (source"}, {Unsynchronised, "同期していませんでした", "NOT synchronised"}, {ClockUnknown, "不明", "not known"},
	} {
		clock := Clock{State: c.state, Source: "ntp.example.jp"}
		require.Contains(t, clock.Said(true), c.ja)
		require.Contains(t, clock.Said(false), c.en)
		require.Contains(t, clock.Said(true), "ntp.example.jp")
	}
	l := &Line{Day: "2026-11-28", Clock: Clock{State: Unsynchronised, Source: "a b=c\n", Offset: -1500, Maximum: 16 * time.Second, At: at(0)}}
	l.Sign(signer(1))
	got, err := ParseLine(l.String())
	require.NoError(t, err)
	require.Equal(t, "a b=c\n", got.Clock.Source)
	require.Equal(t, -time.Microsecond, got.Clock.Offset)
	require.Equal(t, Unsynchronised, got.Clock.State)
}

func FuzzParse(f *testing.F) {
	c, _, _ := sample(f)
	b, err := c.Encode()
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"kakitome_certificate":1,"streams":[{"kind":"message","events":[{}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		r := Verify(c, Options{})
		again, err := c.Encode()
		if err != nil {
			return // a time that JSON does not write
		}
		back, err := Parse(again)
		if err != nil {
			t.Fatal(err)
		}
		if other := Verify(back, Options{}); (r.Fault == nil) != (other.Fault == nil) {
			t.Fatalf("%v, then %v", r.Fault, other.Fault)
		}
	})
}

func FuzzPublished(f *testing.F) {
	_, p, _ := sample(f)
	var all strings.Builder
	for _, l := range p.Lines {
		all.WriteString(l.String() + "\n")
	}
	f.Add([]byte(all.String()))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePublished(data)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, l := range p.Lines {
			again.WriteString(l.String() + "\n")
		}
		if again.String() != string(data) {
			t.Fatal("a file is not what its lines are")
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("# x\n" + signer(1).Public().String()))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseKeys(data)
		for _, k := range keys {
			if err == nil && !k.ok() {
				t.Fatal("a key that is none")
			}
		}
	})
}

// A certificate is small enough for mail: the JSON has every member once.
func TestEncodedFormHasEveryMember(t *testing.T) {
	c, _, _ := sample(t)
	b, err := c.Encode()
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(b, &m))
	require.Len(t, m, reflect.TypeFor[Certificate]().NumField())
}
