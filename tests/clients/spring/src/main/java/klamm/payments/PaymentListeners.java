package klamm.payments;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.support.Acknowledgment;
import org.springframework.stereotype.Component;

/** Two groups that read every payment: one from the beginning, one only what is new. Both acknowledge by hand. */
@Component
public class PaymentListeners {
  final List<ConsumerRecord<String, PaymentSucceeded>> earliest = new CopyOnWriteArrayList<>();
  final List<ConsumerRecord<String, PaymentSucceeded>> latest = new CopyOnWriteArrayList<>();
  volatile boolean acknowledging = true;

  @KafkaListener(id = "earliest", topics = PaymentPublisher.TOPIC, groupId = "earliest-${run}",
      properties = "auto.offset.reset=earliest")
  void fromTheBeginning(ConsumerRecord<String, PaymentSucceeded> payment, Acknowledgment acknowledgment) {
    earliest.add(payment);
    if (acknowledging) {
      acknowledgment.acknowledge();
    }
  }

  @KafkaListener(id = "latest", topics = PaymentPublisher.TOPIC, groupId = "latest-${run}",
      properties = "auto.offset.reset=latest")
  void whatIsNew(ConsumerRecord<String, PaymentSucceeded> payment, Acknowledgment acknowledgment) {
    latest.add(payment);
    acknowledgment.acknowledge();
  }
}
