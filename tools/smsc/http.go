package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/kakitome/kakitome/smpp/smsc"
)

// The HTTP interface, all JSON:
//
//	GET  /healthz                    "ok"
//	GET  /counts                     counters by carrier
//	GET  /ledger?carrier=&since=     messages received, one object per line, oldest first;
//	                                 since is a time (RFC 3339) or, with a carrier, a seq
//	GET  /messages/stream            server-sent events: messages as phones get them
//	POST /carriers/{name}/faults     {"down":true}, … replaces the trouble ({} ends it);
//	                                 "rules":[…] replaces the rules by number too
//	POST /carriers/{name}/script     rules by number and spells to come, one object per line, replace those there are
//	POST /carriers/{name}/unbind     unbinds all sessions
//	POST /carriers/{name}/outbind    {"addr":"127.0.0.1:…","password":…} asks an ESME to bind
//	POST /carriers/{name}/originate  {"from":…,"to":…,"text":…} a phone writes
//
// The fields are those of smsc.Counts, Message, Trouble, Fault, Spell and Origin.

// streamBuffer is how many messages a reader of the stream may be behind.
const streamBuffer = 1024

type server struct {
	carriers []*smsc.Carrier
}

// serve answers HTTP on ln until ctx ends.
func serve(ctx context.Context, ln net.Listener, carriers []*smsc.Carrier) error {
	s := &server{carriers: carriers}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /counts", s.counts)
	mux.HandleFunc("GET /ledger", s.ledger)
	mux.HandleFunc("GET /messages/stream", s.stream)
	mux.HandleFunc("POST /carriers/{name}/faults", s.faults)
	mux.HandleFunc("POST /carriers/{name}/script", s.script)
	mux.HandleFunc("POST /carriers/{name}/unbind", s.unbind)
	mux.HandleFunc("POST /carriers/{name}/outbind", s.outbind)
	mux.HandleFunc("POST /carriers/{name}/originate", s.originate)
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	})
	err := srv.Serve(ln)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve http: %w", err)
}

func (s *server) find(name string) *smsc.Carrier {
	for _, c := range s.carriers {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

func (s *server) counts(w http.ResponseWriter, _ *http.Request) {
	all := make(map[string]smsc.Counts)
	for _, c := range s.carriers {
		all[c.Name()] = c.Counts()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}

func (s *server) ledger(w http.ResponseWriter, r *http.Request) {
	from := s.carriers
	if name := r.FormValue("carrier"); name != "" {
		c := s.find(name)
		if c == nil {
			http.Error(w, fmt.Sprintf("carrier %q: not here", name), http.StatusNotFound)
			return
		}
		from = []*smsc.Carrier{c}
	}
	var seq uint64
	var after time.Time
	if since := r.FormValue("since"); since != "" {
		var err error
		if seq, err = strconv.ParseUint(since, 10, 64); err == nil && len(from) > 1 {
			err = errors.New("a seq counts within one carrier")
		} else if err != nil {
			after, err = time.Parse(time.RFC3339Nano, since)
		}
		if err != nil {
			http.Error(w, fmt.Sprintf("since %q: %v", since, err), http.StatusBadRequest)
			return
		}
	}
	var all []smsc.Message
	for _, c := range from {
		all = append(all, c.Ledger(seq)...)
	}
	if len(from) > 1 {
		slices.SortStableFunc(all, func(a, b smsc.Message) int {
			return cmp.Or(a.Received.Compare(b.Received), cmp.Compare(a.Seq, b.Seq))
		})
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for i := range all {
		if all[i].Received.After(after) {
			if enc.Encode(&all[i]) != nil {
				return
			}
		}
	}
}

func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	messages := make(chan smsc.Message, streamBuffer)
	for _, c := range s.carriers {
		defer c.Watch(messages)()
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, ": hello\n\n")
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for out.Flush() == nil {
		select {
		case m := <-messages:
			b, err := json.Marshal(m)
			if err != nil {
				panic("BUG: message: " + err.Error())
			}
			fmt.Fprintf(w, "id: %s/%d\ndata: %s\n\n", m.Carrier, m.Seq, b)
		case <-beat.C:
			fmt.Fprint(w, ": still here\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

// faults answers what was set.
func (s *server) faults(w http.ResponseWriter, r *http.Request) {
	var set struct {
		smsc.Trouble
		Rules *[]smsc.Fault `json:"rules,omitempty"`
	}
	c := s.read(w, r, &set)
	if c == nil {
		return
	}
	var err error
	if set.Rules != nil {
		err = c.SetFaults(*set.Rules)
	}
	if err == nil {
		err = c.SetTrouble(set.Trouble)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(set)
}

func (s *server) originate(w http.ResponseWriter, r *http.Request) {
	var o smsc.Origin
	c := s.read(w, r, &o)
	if c == nil {
		return
	}
	if err := c.Originate(o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// maxScript is the longest script, in bytes: some million rules.
const maxScript = 256 << 20

func (s *server) script(w http.ResponseWriter, r *http.Request) {
	c := s.named(w, r)
	if c == nil {
		return
	}
	script, err := smsc.ReadScript(http.MaxBytesReader(w, r.Body, maxScript))
	if err == nil {
		err = errors.Join(c.SetFaults(script.Faults), c.SetSpells(script.Spells))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) unbind(w http.ResponseWriter, r *http.Request) {
	if c := s.named(w, r); c != nil {
		c.Unbind()
		w.WriteHeader(http.StatusAccepted)
	}
}

func (s *server) outbind(w http.ResponseWriter, r *http.Request) {
	var to struct {
		Addr     string `json:"addr"`
		Password string `json:"password"`
	}
	c := s.read(w, r, &to)
	if c == nil {
		return
	}
	if ap, err := netip.ParseAddrPort(to.Addr); err != nil || !ap.Addr().IsLoopback() {
		http.Error(w, fmt.Sprintf("addr %q: not a loopback address with a port", to.Addr), http.StatusBadRequest)
		return
	}
	if err := c.Outbind(r.Context(), to.Addr, to.Password); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// named finds the carrier of a request; nil when it has answered that there is
// none.
func (s *server) named(w http.ResponseWriter, r *http.Request) *smsc.Carrier {
	c := s.find(r.PathValue("name"))
	if c == nil {
		http.Error(w, fmt.Sprintf("carrier %q: not here", r.PathValue("name")), http.StatusNotFound)
	}
	return c
}

// read decodes a request strictly and finds its carrier; nil when it has
// answered the fault itself.
func (s *server) read(w http.ResponseWriter, r *http.Request, into any) *smsc.Carrier {
	c := s.named(w, r)
	if c == nil {
		return nil
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		http.Error(w, "body: "+err.Error(), http.StatusBadRequest)
		return nil
	}
	return c
}
