package klamm.payments;

import org.springframework.context.ApplicationEventPublisher;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;

/** Stores orders; whoever listens to the transaction publishes them. */
@Service
public class OrderService {
  private final JdbcTemplate database;
  private final ApplicationEventPublisher events;

  OrderService(JdbcTemplate database, ApplicationEventPublisher events) {
    this.database = database;
    this.events = events;
  }

  /** Stores a paid order; `beforeCommit` runs as the last step of the transaction and may fail it. */
  @Transactional
  public void pay(String paymentId, int amount, Runnable beforeCommit) {
    database.update("insert into orders (payment_id, amount) values (?, ?)", paymentId, amount);
    events.publishEvent(new PaymentSucceeded(paymentId, amount));
    beforeCommit.run();
  }

  /** How many orders of a payment are visible outside any transaction. */
  public int stored(String paymentId) {
    Integer count = database.queryForObject("select count(*) from orders where payment_id = ?", Integer.class, paymentId);
    return count == null ? 0 : count;
  }
}
