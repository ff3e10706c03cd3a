package apptest

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/emersion/go-smtp"
)

// Mailbox is an SMTP server on this machine that takes every mail, for Options.Mail. Its methods may be called at any time.
type Mailbox struct {
	Addr   string
	server *smtp.Server
	served chan error
	mu     sync.Mutex // guards mails
	mails  map[string]string
}

// NewMailbox starts one on a free port. The caller closes it.
func NewMailbox() (*Mailbox, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &Mailbox{Addr: l.Addr().String(), served: make(chan error, 1), mails: map[string]string{}}
	m.server = smtp.NewServer(m)
	go func() { m.served <- m.server.Serve(l) }()
	return m, nil
}

// Close ends the server and waits for it.
func (m *Mailbox) Close() error {
	err := m.server.Close()
	if served := <-m.served; !errors.Is(served, smtp.ErrServerClosed) && !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Of is the newest mail to an address, header and body; empty: there is none.
func (m *Mailbox) Of(address string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mails[address]
}

// NewSession is for the server.
func (m *Mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &delivery{box: m}, nil }

type delivery struct {
	box *Mailbox
	to  string
}

func (d *delivery) Mail(string, *smtp.MailOptions) error      { return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error { d.to = to; return nil }
func (d *delivery) Reset()                                    {}
func (d *delivery) Logout() error                             { return nil }
func (d *delivery) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	d.box.mails[d.to] = string(data)
	return err
}
