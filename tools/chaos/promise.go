package main

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// Kinds of answers that promise that something is on disk.
const (
	single  = "202"
	batches = "200 to a batch"
	taken   = "deliver_sm_resp"
)

// answer is one of the engine's, and what was synced while it was made.
type answer struct {
	kind            string
	conn            string
	asked, answered time.Duration
	synced          string        // files whose syncs began behind the question and came back before the answer; "": the promise is broken
	over            time.Duration // of those syncs, the last of them
}

// answers pairs what was asked with what was answered, and finds the syncs that began after the one and were over before the other: of a
// file of the log's values, and of the memory table that leads to them after lost power (Badger reads no value that none leads to). Asked is the last read of a request, or of a deliver_sm, before its answer. carriers are the
// addresses to which binds go.
func answers(calls []call, maps []mapping, carriers []string) []answer {
	all := slices.Concat(requests(calls), deliveries(calls, carriers))
	for i := range all {
		a := &all[i]
		synced := map[string]string{} // by extension
		for j := range calls {
			s := &calls[j]
			if s.name != "msync" && s.name != "fsync" && s.name != "fdatasync" {
				continue
			}
			file := s.file(maps)
			if ext := filepath.Ext(file); s.ok() && s.begun >= a.asked && s.over <= a.answered && (ext == ".vlog" || ext == ".mem") {
				synced[ext], a.over = file, max(a.over, s.over)
			}
		}
		if len(synced) == 2 {
			a.synced = synced[".vlog"] + ", " + filepath.Base(synced[".mem"])
		}
	}
	return all
}

// requests are the POSTs of messages that were taken.
func requests(calls []call) (all []answer) {
	asked := map[string]*answer{} // by connection
	for i := range calls {
		c := &calls[i]
		conn := c.file(nil)
		if !strings.HasPrefix(conn, "TCP") {
			continue
		}
		switch c.name {
		case "read":
			data := c.bytes()
			switch {
			case bytes.HasPrefix(data, []byte("POST /v1/messages:batch ")):
				asked[conn] = &answer{kind: batches, conn: conn, asked: c.over}
			case bytes.HasPrefix(data, []byte("POST /v1/messages ")):
				asked[conn] = &answer{kind: single, conn: conn, asked: c.over}
			case asked[conn] != nil && len(data) > 0: // more of its body
				asked[conn].asked = c.over
			}
		case "write":
			a := asked[conn]
			if a == nil || !strings.Contains(c.args, `"HTTP/1.1 20`) {
				continue // asked before the trace, or not taken
			}
			delete(asked, conn)
			a.answered = c.begun
			all = append(all, *a)
		}
	}
	return all
}

// deliveries are the deliver_sm of carriers that were taken: receipts and messages from phones. SMPP 3.4 §4.6
func deliveries(calls []call, carriers []string) (all []answer) {
	in, out := map[string]*stream{}, map[string]*stream{} // by connection
	for i := range calls {
		c := &calls[i]
		conn := c.file(nil)
		if !strings.HasPrefix(conn, "TCP") || !slices.ContainsFunc(carriers, func(addr string) bool { return strings.HasSuffix(conn, "->"+addr+"]") }) {
			continue
		}
		switch c.name {
		case "read":
			streamOf(in, conn).add(c.bytes(), c.over)
		case "write":
			streamOf(out, conn).add(c.bytes(), c.begun)
		}
	}
	for _, conn := range slices.Sorted(maps.Keys(in)) {
		asked := map[uint32]time.Duration{} // by sequence_number
		for _, u := range in[conn].units {
			if u.Command == pdu.CmdDeliverSM {
				asked[u.Sequence] = u.end
			}
		}
		for _, u := range streamOf(out, conn).units {
			if from, ok := asked[u.Sequence]; ok && u.Command == pdu.CmdDeliverSMResp && u.Status == pdu.StatusOK {
				delete(asked, u.Sequence)
				all = append(all, answer{kind: taken, conn: conn, asked: from, answered: u.begin})
			}
		}
	}
	return all
}

// unit is the head of a PDU, and when its first and its last byte passed.
type unit struct {
	pdu.Header
	begin, end time.Duration
}

// stream is one direction of a connection, from a PDU's first byte on.
type stream struct {
	units []unit
	rest  []byte // of the PDU that is under way
	begin time.Duration
}

func streamOf(all map[string]*stream, conn string) *stream {
	if all[conn] == nil {
		all[conn] = &stream{}
	}
	return all[conn]
}

// add takes what one call passed. Where a call is missing in the trace, what follows is left out.
func (s *stream) add(data []byte, at time.Duration) {
	if len(s.rest) == 0 {
		s.begin = at
	}
	s.rest = append(s.rest, data...)
	for {
		h, _, n, err := pdu.Next(s.rest)
		if err != nil || n == 0 {
			return
		}
		s.units = append(s.units, unit{h, s.begin, at})
		s.rest, s.begin = s.rest[n:], at
	}
}
