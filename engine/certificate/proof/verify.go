package proof

import (
	"crypto/ed25519"
	"fmt"
	"time"
)

// What a fault is of.
const (
	OfEvent       = "event"
	OfProof       = "proof"       // the path from a stream to the root of a day
	OfRoot        = "root"        // the root that was published is another
	OfLine        = "line"        // the line of a day in the certificate cannot be read
	OfSignature   = "signature"   // of a day
	OfKey         = "key"         // it is not one of those that are trusted
	OfPublished   = "published"   // the published file
	OfContent     = "content"     // what is opened is not what was accepted
	OfCertificate = "certificate" // what belongs to no event: its form, or its signature
)

// Fault is the first thing that is not as it was. It is an error.
type Fault struct {
	Of     string
	Stream string // message, claim
	N      uint32 // of an event
	Type   string
	At     time.Time
	Day    string
	Line   int // of the published file, from 1
	What   string
}

func (f *Fault) Error() string {
	where := f.Of
	switch {
	case f.Of == OfEvent:
		where = fmt.Sprintf("event %d of the %s (%s, %s)", f.N, f.Stream, f.Type, f.At.UTC().Format(time.RFC3339Nano))
	case f.Of == OfPublished && f.Day != "":
		where = fmt.Sprintf("published file, line %d (%s)", f.Line, f.Day)
	case f.Of == OfPublished && f.Line > 0:
		where = fmt.Sprintf("published file, line %d", f.Line)
	case f.Of == OfPublished:
		where = "published file"
	case f.Stream != "" && f.Day != "":
		where = fmt.Sprintf("%s of day %s of the %s", f.Of, f.Day, f.Stream)
	case f.Day != "":
		where = fmt.Sprintf("%s of day %s", f.Of, f.Day)
	}
	return where + ": " + f.What
}

// Options of Verify.
type Options struct {
	Published *Published  // nil: none is at hand
	Keys      []PublicKey // that are trusted; nil: those in the certificate, and the report says so
}

// Report is what was found out. Fault is nil when nothing was changed.
type Report struct {
	Fault *Fault
	// Closed events are in the signed tree of a day; Open ones only in the chain: their day was not closed yet.
	Closed, Open int
	Trusted      bool // the keys are the caller's
	InFile       bool // the lines are in the published file
	Clocks       []Clock
	Contents     []string // parts that were opened and match
	Signed       bool     // the certificate itself is signed
}

// Whole reports whether nothing is left open: every event closed, trusted keys, published lines.
func (r *Report) Whole() bool { return r.Fault == nil && r.Open == 0 && r.Trusted && r.InFile }

// verifier is one verification under way.
type verifier struct {
	c    *Certificate
	o    Options
	keys map[string]PublicKey
	r    *Report
}

// Verify checks a certificate: the published file, the events of each stream, the proofs of its days, what is opened of the
// content, and at last the certificate's own signature.
func Verify(c *Certificate, o Options) *Report {
	v := &verifier{c: c, o: o, keys: map[string]PublicKey{}, r: &Report{Trusted: o.Keys != nil, InFile: o.Published != nil}}
	trusted := o.Keys
	if !v.r.Trusted {
		trusted = c.Keys
	}
	for _, k := range trusted {
		if !k.ok() {
			v.r.Fault = &Fault{Of: OfKey, What: fmt.Sprintf("the id %.20q is not that of the key: one of them was changed", k.ID)}
			return v.r
		}
		v.keys[k.ID] = k
	}
	for _, check := range []func() *Fault{v.form, v.events, v.claim, v.days, v.file, v.content, v.signature} {
		if v.r.Fault = check(); v.r.Fault != nil {
			return v.r
		}
	}
	return v.r
}

func (v *verifier) form() *Fault {
	bad := func(what string) *Fault { return &Fault{Of: OfCertificate, What: what} }
	switch s := v.c.Streams; {
	case len(s) == 0 || len(s) > 2 || s[0].Kind != "message" || len(s) == 2 && s[1].Kind != "claim":
		return bad("it holds no message, or something besides a message and its claim")
	case s[0].ID != v.c.Message:
		return bad("its message is not the one whose events it holds")
	case len(s[0].Events) == 0:
		return bad("it holds no events")
	}
	return nil
}

// claim is checked behind the events, so that an event which was changed is named.
func (v *verifier) claim() *Fault {
	if s := v.c.Streams; len(s) == 2 && s[0].Events[0].Fields["claim"] != s[1].ID {
		return &Fault{Of: OfCertificate, What: "its claim is not that of the message"}
	}
	return nil
}

// events follows the chain of each stream.
func (v *verifier) events() *Fault {
	for i := range v.c.Streams {
		s := &v.c.Streams[i]
		d := Begin(s.Kind, v.c.Tenant.ID, s.ID)
		for n := range s.Events {
			e := &s.Events[n]
			bad := func(format string, args ...any) *Fault {
				return &Fault{Of: OfEvent, Stream: s.Kind, N: uint32(n + 1), Type: e.Type, At: e.At, What: fmt.Sprintf(format, args...)}
			}
			if e.N != uint32(n+1) {
				return bad("it is numbered %d: an event was taken out, put in or moved", e.N)
			}
			if n > 0 && e.At.Before(s.Events[n-1].At) {
				return bad("it is earlier than the event before it")
			}
			if d = d.Next(e); d != e.Digest {
				return bad("it is not what its digest says: the event, its salt, its digest, or the sender's and the stream's id was changed")
			}
		}
	}
	return nil
}

// days checks the proof of each day of each stream.
func (v *verifier) days() *Fault {
	for i := range v.c.Streams {
		s := &v.c.Streams[i]
		done, last := 0, ""
		for n := range s.Days {
			if f := v.day(s, &s.Days[n], done, last); f != nil {
				return f
			}
			line, _ := ParseLine(s.Days[n].Line) // day has read it
			done, last = int(s.Days[n].Events), line.Day
			v.r.Clocks = append(v.r.Clocks, line.Clock)
		}
		v.r.Closed += done
		v.r.Open += len(s.Events) - done
	}
	return nil
}

// day checks one proof; done events are proven by the days before it.
func (v *verifier) day(s *Stream, d *Day, done int, last string) *Fault {
	line, err := ParseLine(d.Line)
	if err != nil {
		return &Fault{Of: OfLine, Stream: s.Kind, What: fmt.Sprintf("line of a day: %v", err)}
	}
	bad := func(of, format string, args ...any) *Fault {
		return &Fault{Of: of, Stream: s.Kind, Day: line.Day, What: fmt.Sprintf(format, args...)}
	}
	k, known := v.keys[line.Key]
	switch {
	case !known:
		return bad(OfKey, "the day is signed with key %s, which is not among the keys", line.Key)
	case !line.Verify(k):
		return bad(OfSignature, "it does not belong to the line: the line or its signature was changed")
	case line.Day <= last:
		return bad(OfProof, "the days are not in order")
	case int(d.Events) <= done || int(d.Events) > len(s.Events):
		return bad(OfProof, "it is for %d events; the certificate has %d, of which %d are proven by days before", d.Events, len(s.Events), done)
	}
	leaf := Leaf{Kind: s.Kind, ID: s.ID, N: d.Events, Digest: s.Events[d.Events-1].Digest}
	root, fits := rootOf(leaf.Hash(), d.Index, line.Streams, d.Path)
	if !fits {
		return bad(OfProof, "place %d with %d hashes does not fit a tree of %d streams", d.Index, len(d.Path), line.Streams)
	}
	if root != line.Root {
		return bad(OfProof, "events %d to %d do not lead to the signed root %s: one of them was changed and digested anew, or a hash of the proof was changed",
			done+1, d.Events, line.Root)
	}
	return nil
}

// file looks for the lines in the published file, and checks all of that.
func (v *verifier) file() *Fault {
	if v.o.Published == nil {
		return nil
	}
	for i := range v.c.Streams {
		s := &v.c.Streams[i]
		for n := range s.Days {
			line, _ := ParseLine(s.Days[n].Line)
			have := v.o.Published.Day(line.Day)
			switch {
			case have == nil:
				return &Fault{Of: OfPublished, Day: line.Day, What: "it has no line of this day"}
			case have.Root != line.Root:
				return &Fault{Of: OfRoot, Day: line.Day, What: "the published root is " + have.Root.String() + ", the certificate's is " + line.Root.String()}
			case have.String() != s.Days[n].Line:
				return &Fault{Of: OfPublished, Day: line.Day, What: "its line is another than the certificate's"}
			}
		}
	}
	return v.o.Published.verify(v.keys, v.r.Trusted)
}

// content compares what is opened with what the first event commits to.
func (v *verifier) content() *Fault {
	head := &v.c.Streams[0].Events[0]
	for i := range v.c.Content {
		o := &v.c.Content[i]
		if head.Fields[ContentField(o.Part)] != o.Commitment().String() {
			return &Fault{Of: OfContent, What: fmt.Sprintf("the %.20s is not what was accepted: it, its blind, or its name was changed", o.Part)}
		}
		v.r.Contents = append(v.r.Contents, o.Part)
	}
	return nil
}

func (v *verifier) signature() *Fault {
	if v.c.Key == "" && len(v.c.Signature) == 0 && v.r.Closed == 0 {
		return nil
	}
	k, known := v.keys[v.c.Key]
	if !known {
		return &Fault{Of: OfKey, What: fmt.Sprintf("the certificate is signed with key %.20q, which is not among the keys", v.c.Key)}
	}
	b, err := v.c.signed()
	if err != nil || !ed25519.Verify(k.Public, b, v.c.Signature) {
		return &Fault{Of: OfCertificate, What: "its signature does not belong to it: something outside the events was changed, such as the sender's name or the time it was made"}
	}
	v.r.Signed = true
	return nil
}
