package klamm.payments;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.support.SendResult;
import org.springframework.stereotype.Component;
import org.springframework.transaction.event.TransactionPhase;
import org.springframework.transaction.event.TransactionalEventListener;

/** Publishes a payment once its order is committed, keyed by payment id. */
@Component
public class PaymentPublisher {
  static final String TOPIC = "payment.success";

  final List<CompletableFuture<SendResult<String, Object>>> sent = new CopyOnWriteArrayList<>();
  private final KafkaTemplate<String, Object> template;

  PaymentPublisher(KafkaTemplate<String, Object> template) {
    this.template = template;
  }

  @TransactionalEventListener(phase = TransactionPhase.AFTER_COMMIT)
  void publish(PaymentSucceeded event) {
    sent.add(template.send(TOPIC, event.paymentId(), event));
  }
}
