package session

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

func isCarrier(o *pdu.Outbind) bool { return o.SystemID == "carrier" && o.Password == "knock" }

func TestCarrierThatConnectsIsBoundTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		delivered := make(chan string, 1)
		bound := make(chan *Session)
		go func() {
			s, err := AnswerOutbind(context.Background(), ours, Options{
				Addr: "carrier.test", Bind: pdu.Bind{SystemID: "kakitome", Password: "secret"},
				Settings: Settings{OnRequests: func(_ *Session, batch []Incoming) {
					delivered <- string(batch[0].SM.ShortMessage)
					_ = batch[0].Reply.Respond(pdu.StatusOK)
				}},
			}, isCarrier)
			if err != nil {
				t.Error(err)
			}
			bound <- s
		}()
		var got record
		smsc, err := Outbind(t.Context(), theirs, pdu.Outbind{SystemID: "carrier", Password: "knock"}, AcceptOptions{
			SystemID: "carrier", Settings: Settings{OnResults: got.take},
			Authorize: func(b *pdu.Bind) pdu.Status {
				if b.Mode != pdu.CmdBindReceiver || b.Password != "secret" {
					return pdu.StatusBindFailed
				}
				return pdu.StatusOK
			},
		})
		require.NoError(t, err)
		esme := <-bound
		require.Equal(t, "carrier", esme.PeerSystemID())
		_, err = smsc.TrySubmit([]Request{{Body: &pdu.DeliverSM{SM: pdu.SM{ShortMessage: []byte("id:1")}}}})
		require.NoError(t, err)
		require.Equal(t, "id:1", <-delivered)
		synctest.Wait()
		require.Equal(t, Answered, got.results()[0].Outcome)
		require.NoError(t, smsc.Unbind(t.Context()))
		<-esme.Done()
		require.ErrorIs(t, esme.Err(), ErrPeerUnbound)
	})
}

func TestStrangerWhoConnectsIsNotBoundTo(t *testing.T) {
	for name, first := range map[string]pdu.Body{
		"wrong password": &pdu.Outbind{SystemID: "carrier", Password: "guess"},
		"no outbind":     &pdu.Bind{Mode: pdu.CmdBindReceiver},
		"damaged":        &pdu.Raw{Cmd: pdu.CmdOutbind, Data: []byte("carrier")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				p := &peer{t: t, conn: theirs, in: greeting{conn: theirs}}
				go p.send(1, 0, first)
				_, err := AnswerOutbind(t.Context(), ours, Options{Addr: "carrier.test"}, isCarrier)
				require.ErrorIs(t, err, ErrOutbind)
				require.NotContains(t, err.Error(), "guess")
				_, _, err = p.in.next()
				require.Error(t, err, "closed, and nothing of ours was sent")
			})
		})
	}
}

func TestCarrierThatConnectsAndStaysSilentIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		began := time.Now()
		_, err := AnswerOutbind(t.Context(), ours, Options{BindTimeout: 3 * time.Second}, isCarrier)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(began))
		ours, theirs = net.Pipe()
		defer theirs.Close()
		_, err = Outbind(t.Context(), ours, pdu.Outbind{}, AcceptOptions{BindTimeout: 3 * time.Second})
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}
