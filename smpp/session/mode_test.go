package session

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// Which requests an SMSC takes on which kind of bind, by SMPP 3.4 §2.3. An
// ESME takes what a carrier sends on any: a receipt is too dear to refuse.
func TestEachKindOfBindTakesItsRequests(t *testing.T) {
	a := pdu.Address{Addr: []byte("1")}
	list := pdu.SubmitMulti{Dests: []pdu.Dest{{Flag: pdu.DestSME, Address: a}}}
	fromESME := []pdu.Body{&pdu.SubmitSM{SM: pdu.SM{Dest: a}}, &list, new(pdu.DataSM), new(pdu.QuerySM), new(pdu.CancelSM), new(pdu.ReplaceSM)}
	fromSMSC := []pdu.Body{new(pdu.DeliverSM), new(pdu.DataSM)}
	for _, c := range []struct {
		mode    pdu.Command
		submits bool
	}{{pdu.CmdBindTransceiver, true}, {pdu.CmdBindTransmitter, true}, {pdu.CmdBindReceiver, false}} {
		t.Run(c.mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent, delivered record
				answer := func(_ *Session, batch []Incoming) {
					for _, in := range batch {
						_ = in.Reply.Respond(pdu.StatusOK)
					}
				}
				ours, theirs := net.Pipe()
				accepted := make(chan *Session)
				go func() {
					s, err := Accept(context.Background(), theirs, AcceptOptions{
						Authorize: func(*pdu.Bind) pdu.Status { return pdu.StatusOK }, Settings: Settings{OnRequests: answer, OnResults: delivered.take},
					})
					if err != nil {
						t.Error(err)
					}
					accepted <- s
				}()
				esme, err := Dial(t.Context(), Options{
					Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
					Bind: pdu.Bind{Mode: c.mode}, Settings: Settings{OnRequests: answer, OnResults: sent.take},
				})
				require.NoError(t, err)
				defer esme.Close()
				smsc := <-accepted
				require.Equal(t, c.mode, smsc.Bind().Mode)
				ask := func(s *Session, bodies []pdu.Body, got *record, ok bool) {
					for i, body := range bodies {
						_, err := s.TrySubmit([]Request{{Body: body}})
						require.NoError(t, err)
						synctest.Wait()
						r := got.results()[i]
						require.Equal(t, body.Command().Response(), r.Command)
						require.Equal(t, ok, r.Status == pdu.StatusOK, "%v: %v", body.Command(), r.Status)
						require.Equal(t, !ok, r.Status == pdu.StatusInvalidBindStatus)
					}
				}
				ask(esme, fromESME, &sent, c.submits)
				ask(smsc, fromSMSC, &delivered, true)
			})
		})
	}
}

// SMPP 5.0 has PDUs that 3.4 has not; a carrier that sends them is told so.
func TestPDUsOfSMPP50AreAnsweredWithGenericNack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := dialPeer(t, Settings{OnRequests: func(*Session, []Incoming) {}})
		for i, c := range []pdu.Command{0x111 /* broadcast_sm */, 0x112 /* query_broadcast_sm */, 0x113 /* cancel_broadcast_sm */} {
			p.send(uint32(i+5), 0, &pdu.Raw{Cmd: c, Data: make([]byte, 70)})
			h, body := p.expect(pdu.CmdGenericNack)
			require.Equal(t, pdu.StatusInvalidCommandID, h.Status)
			require.EqualValues(t, i+5, h.Sequence)
			require.Empty(t, body)
			p.send(uint32(i+5), 0, &pdu.Raw{Cmd: c.Response(), Data: []byte("1\x00")}) // to nothing
		}
		p.bare(pdu.CmdEnquireLink, 0, 9)
		p.expect(pdu.CmdEnquireLinkResp)
		require.NoError(t, s.Err())
		require.EqualValues(t, 3, s.Stats().Unknown)
		require.EqualValues(t, 3, s.Stats().Unmatched)
	})
}

func TestWhatACarrierAsksBeforeItHasAnsweredTheBindIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		p := &peer{t: t, conn: theirs, in: greeting{conn: theirs}}
		go func() {
			bind, _ := p.expect(pdu.CmdBindTransceiver)
			p.send(7, 0, new(pdu.DeliverSM))
			h, _ := p.expect(pdu.CmdDeliverSMResp)
			if h.Status != pdu.StatusInvalidBindStatus || h.Sequence != 7 {
				t.Error(h)
			}
			p.send(8, 0, new(pdu.AlertNotification)) // has no response
			p.send(9, 0, &pdu.Outbind{SystemID: "carrier"})
			p.bare(0x111, 0, 10)
			p.expect(pdu.CmdGenericNack)
			p.bare(pdu.CmdEnquireLink, 0, 11)
			p.expect(pdu.CmdEnquireLinkResp)
			p.send(bind.Sequence, 0, &pdu.BindResp{Mode: pdu.CmdBindTransceiver})
		}()
		s, err := dialOn(t.Context(), ours)
		require.NoError(t, err)
		s.Close()

		ours, theirs = net.Pipe()
		p = &peer{t: t, conn: theirs, in: greeting{conn: theirs}}
		go func() {
			p.expect(pdu.CmdBindTransceiver)
			p.bare(pdu.CmdUnbind, 0, 1)
		}()
		_, err = dialOn(t.Context(), ours)
		require.ErrorIs(t, err, ErrPeerUnbound)
	})
}

func TestThrottledAnswersAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{OnResults: got.take})
		_, err := s.TrySubmit(submitOf(3))
		require.NoError(t, err)
		for _, status := range []pdu.Status{pdu.StatusThrottled, pdu.StatusMessageQueueFull, pdu.StatusInvalidDestination} {
			h, _ := p.expect(pdu.CmdSubmitSM)
			p.bare(pdu.CmdSubmitSMResp, status, h.Sequence)
		}
		synctest.Wait()
		require.EqualValues(t, 2, s.Stats().Throttled)
		require.EqualValues(t, 3, s.Stats().Answered)
	})
}

func TestLateGenericNackFindsTheOwnerToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got record
		s, p := dialPeer(t, Settings{ResponseTimeout: time.Second, EnquireInterval: -1, OnResults: got.take})
		_, err := s.TrySubmit(submitOf(1))
		require.NoError(t, err)
		h, _ := p.expect(pdu.CmdSubmitSM)
		time.Sleep(2 * time.Second)
		p.bare(pdu.CmdQuerySMResp, 0, h.Sequence) // of another kind
		p.bare(pdu.CmdGenericNack, pdu.StatusSystemError, h.Sequence)
		synctest.Wait()
		require.Len(t, got.results(), 2)
		require.True(t, got.results()[1].Late)
		require.Equal(t, pdu.StatusSystemError, got.results()[1].Status)
	})
}
